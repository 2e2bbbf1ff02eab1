#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "video/tracker/memory_selection.h"
#include "video/tracker/remaining_objects.h"
#include "video/tracker/tracker_options.h"

namespace sam3 {

// What the tracker knows of one frame about all objects of a bucket, in their order. N objects, G x G features, D
// channels of memory, C of everything else.
struct FrameOutput {
  at::Tensor memory;           // [N,G*G,D], the network's dtype; undefined until encoded, or where it was let go
  at::Tensor masks;            // [N,4G,4G] float32 logits; undefined where they were let go
  at::Tensor pointers;         // [N,C], the network's dtype
  at::Tensor object_logits;    // [N,1] float32 on the host
  at::Tensor iou;              // float32 on the host: [N] on tracked frames, [N,1] on prompted ones (see cal_mem_score)
  std::optional<float> score;  // eff_iou_score; prompted frames have none until objects are removed
};

// The outputs of one bucket: those of its conditioning frames (which had a prompt, in the order in which they were
// added) and those of the tracked frames. The reference's "output_dict"; its "output_dict_per_obj" holds slices of the
// same tensors and differs only in what hide_around() takes from it.
class MemoryBank {
 public:
  const FrameOutput* conditioning(int64_t frame) const;
  const FrameOutput* tracked(int64_t frame) const;
  // The frame as its objects see it one by one: conditioning, else tracked and not hidden.
  const FrameOutput* for_objects(int64_t frame) const;
  const FrameOutput* tracked_for_objects(int64_t frame) const;

  std::vector<int64_t> conditioning_frames() const;  // in the order in which they were added
  const FrameScores& scores() const { return scores_; }
  bool has_conditioning() const { return !conditioning_.empty(); }

  // A frame that received prompts: it is no tracked frame any more.
  void set_conditioning(int64_t frame, FrameOutput output);
  void set_tracked(int64_t frame, FrameOutput output);
  // Memory [N,G*G,D] of a frame that is there; nothing happens where it is not.
  void set_memory(int64_t frame, const at::Tensor& memory);
  // A conditioning frame without prompts becomes a tracked one (without a score, unless it has one). False where the
  // frame is none.
  bool downgrade(int64_t frame);
  // Hides tracked frames up to `distance` away from the objects' own view (_clear_non_cond_mem_around_input).
  void hide_around(int64_t frame, int64_t distance);
  // Keeps these objects, in this order; scores are computed anew, and nothing is hidden any more.
  void select_objects(const std::vector<int64_t>& rows);
  void clear();

  // Lets go of everything that tracking forward from `frame`, which may itself be prompted or tracked again, can never
  // look at, even after any of the objects are removed. `prompted`: per object, the frames with its points or masks.
  // Returns the conditioning frames that are gone. How exact it is: see frames_for_remaining().
  std::vector<int64_t> prune(int64_t frame, const std::vector<std::set<int64_t>>& prompted,
                             const TrackerOptions& options, int64_t memory_frames, int64_t num_frames);
  // Whether prune() took conditioning frames, so that there were more than are listed.
  bool exceeds() const;

  // Full history: what tracking from `frame` will hardly look at goes to the host, with one copy that nobody waits for.
  // It is there when this is called the next time.
  void move_to_host(int64_t frame, const std::vector<std::set<int64_t>>& prompted, const TrackerOptions& options,
                    int64_t memory_frames, int64_t num_frames);

  int64_t bytes() const;       // of all tensors
  int64_t host_bytes() const;  // of those that lie on the host

 private:
  struct Move;
  template <class Body>
  void each_output(Body&& body);
  int64_t sum_bytes(bool host_only) const;
  void erase_tracked(int64_t frame);
  KeptFrames needed_from(int64_t frame, const std::vector<std::set<int64_t>>& prompted, const TrackerOptions& options,
                         int64_t memory_frames, int64_t num_frames) const;

  std::vector<std::pair<int64_t, FrameOutput>> conditioning_;
  std::map<int64_t, FrameOutput> tracked_;
  FrameScores scores_;  // of tracked_
  std::set<int64_t> hidden_;
  std::vector<bool> forgot_;  // per object
  std::shared_ptr<const Move> moving_;
};

}  // namespace sam3
