#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <map>
#include <set>
#include <vector>

#include "image/image_model.h"
#include "image/prompts.h"
#include "video/frames/frame_store.h"
#include "video/tracker/memory_bank.h"
#include "video/tracker/track_network.h"
#include "video/tracker/tracker_options.h"

namespace sam3 {

// What buckets share: the network, the frames and the facts of the video.
struct TrackContext {
  ImageModel& model;
  FrameStore& frames;
  TrackNetwork& network;
  const TrackerOptions& options;
  int64_t width, height;  // of the video, pixels
  int64_t num_frames;     // -1 = not known
};

// A bucket on one frame, after a prompt was given or taken back. N objects in the bucket's order.
struct BucketFrame {
  std::vector<int64_t> ids;
  at::Tensor masks;               // [N,4G,4G] float32 logits; -1024 where an object has nothing on this frame
  at::Tensor object_logits;       // [N] float32 on the host; 10 where an object has nothing on this frame
  std::vector<at::Tensor> given;  // per object: the mask that the user gave, bool [height,width]; else undefined
};

// Objects that are tracked as one batch and share their conditioning frames: one "inference state" of the reference's
// Sam3TrackerPredictor, with the behaviour of that class unless it is said otherwise. Objects without a prompt on a
// conditioning frame count as absent there. New ones are accepted until the first preflight.
//
// A call that throws leaves the bucket as it was.
class MaskletBucket {
 public:
  // `on_host`: where the outputs of frames are kept.

  const std::vector<int64_t>& ids() const { return ids_; }
  bool contains(int64_t id) const;
  bool started() const { return started_; }  // true from the first preflight on
  const MemoryBank& bank() const { return bank_; }

  // Points and box of an object, new or not. On a frame that was not tracked before they are decoded without memory,
  // else they correct what was tracked (see ClickPrompt); the object's previous logits, held within +-32, are fed back.
  // Of more than max_point_num_in_prompt_enc points the first and the last half are kept, for good.
  // ERR_INVALID_ARGUMENT: labels and points that do not match, neither points nor box, a box beside old points.
  // ERR_INTERNAL: a new id after the first preflight.
  void add_points(const TrackContext& context, int64_t frame, int64_t id, const ClickPrompt& input);
  // Masks of objects, new or not: `inputs` float32 [K,16G,16G] in 0..1 for the network, `given` bool [K,height,width]
  // for the output. Each takes its pixels from masks that other objects were given on the frame before.
  void add_masks(const TrackContext& context, int64_t frame, const std::vector<int64_t>& ids, const at::Tensor& inputs,
                 const at::Tensor& given);
  // Takes an object's prompt on a frame back. A frame without any prompt is no conditioning frame any more; without any
  // conditioning frame all that was tracked is forgotten. Unlike the reference, prompts that were not yet used survive
  // that (it drops the prompts of all objects).
  void clear_inputs(int64_t frame, int64_t id);
  // Removes those objects that the bucket has. Scores of frames are computed anew.
  void remove(const std::vector<int64_t>& ids);
  // Turns the prompts since the last preflight into memory; from here on objects can be tracked.
  void preflight(const TrackContext& context);

  // The bucket's objects on a frame: new prompts, else what is stored.
  BucketFrame on_frame(const TrackContext& context, int64_t frame) const;
  // Frames where the object has a mask but no points.
  std::vector<int64_t> mask_frames(int64_t id) const;
  std::set<int64_t> pending_frames() const;  // with prompts since the last preflight

  MemoryView view(const TrackContext& context, int64_t frame, bool reverse) const;
  void store_tracked(int64_t frame, bool reverse, FrameOutput output);
  // Propagation has met a conditioning frame, whose output stands already.
  void meet_conditioning(const TrackContext& context, int64_t frame, bool reverse);
  void set_memory(int64_t frame, const at::Tensor& memory) { bank_.set_memory(frame, memory); }

  // See MemoryBank::prune(). Prompts of frames that are forgotten go with them.
  void prune(const TrackContext& context, int64_t frame);
  void move_to_host(const TrackContext& context, int64_t frame);  // see MemoryBank
  int64_t bytes() const;
  int64_t host_bytes() const { return bank_.host_bytes(); }  // without prompts that are not in memory yet

 private:
  // An object's answer to a prompt, before it is merged with those of the others. Exactly one of the masks is defined.
  struct Pending {
    at::Tensor logits;   // [4G,4G] float32
    at::Tensor given;    // bool [height,width]
    at::Tensor pointer;  // [1,C]
    float object_logit = 0, iou = 0;
    int64_t order = 0;  // frames of an object that came first have a lower one; changes of a prompt keep it
  };
  struct Masklet {
    std::map<int64_t, TrackNetwork::Points> points;  // by frame, as all of these
    std::set<int64_t> masks;
    std::map<int64_t, Pending> pending;
    bool prompted(int64_t frame) const { return points.count(frame) || masks.count(frame); }
  };

  size_t index_of(int64_t id) const;  // ids_.size() where it is not there
  Masklet& masklet(int64_t id);       // made where it is not there
  void check_new(int64_t id) const;
  void set_pending(Masklet& masklet, int64_t frame, Pending pending);
  std::vector<int64_t> preflight_order() const;  // pending_frames() as the reference walks them
  TrackNetwork::Points merged_points(const TrackContext& context, int64_t frame, int64_t id,
                                     const ClickPrompt& input) const;
  at::Tensor previous_logits(int64_t frame, int64_t id) const;
  // All objects on one frame, from new prompts or from what is stored, without memory.
  FrameOutput consolidated(const TrackContext& context, int64_t frame) const;
  // Its memory: binary masks that do not overlap.
  at::Tensor prompted_memory(const TrackContext& context, int64_t frame, const FrameOutput& output) const;
  void hide_around(const TrackContext& context, int64_t frame);
  void forget_tracking();
  std::vector<std::set<int64_t>> prompted_frames() const;  // by object

  std::vector<int64_t> ids_;
  std::vector<Masklet> masklets_;
  MemoryBank bank_;
  bool started_ = false;
  int64_t next_order_ = 0;                      // of pending prompts
  std::map<int64_t, bool> tracked_in_reverse_;  // frames met by a propagation, and its direction
};

}  // namespace sam3
