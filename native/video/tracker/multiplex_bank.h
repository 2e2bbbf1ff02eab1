#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <map>
#include <set>
#include <vector>

#include "network/program.h"

namespace sam3 {

// What SAM 3.1 knows of one frame about the objects of a bucket state, as they were then. B buckets of S slots, N
// objects, G x G features. What is stored of an object stays when the object goes, and goes on being attended to.
struct SlotOutput {
  at::Tensor memory;               // [B,C,G,G]; undefined until encoded, or where it was let go
  at::Tensor image;                // [1,C,G,G]: the coarse level that the memory belongs to
  at::Tensor pointers;             // [B,S,C], zeros where a slot is empty
  at::Tensor masks;                // [N,4G,4G] float32 logits; undefined where they were let go
  at::Tensor object_logits;        // [N,1] float32 on the host
  std::vector<int64_t> ids;        // N
  std::set<int64_t> conditioning;  // ids that have input on this frame

  int64_t row_of(int64_t id) const;  // -1 where it is not there
  // The masks and logits of these objects; -1024 and -10 of those that are not there.
  at::Tensor masks_of(const std::vector<int64_t>& wanted) const;
  at::Tensor logits_of(const std::vector<int64_t>& wanted) const;
};

// The frames of one state: those that condition it, in the order in which they were added, and the tracked ones. The
// projections of those that are attended to are kept on the device beside them.
class MultiplexBank {
 public:
  const SlotOutput* find(int64_t frame) const;
  const SlotOutput* conditioning(int64_t frame) const;
  bool has_conditioning() const { return !order_.empty(); }
  const std::vector<int64_t>& conditioning_frames() const { return order_; }
  std::set<int64_t> tracked_frames() const;
  bool exceeds() const { return exceeds_; }  // whether prune() took conditioning frames

  void set(int64_t frame, SlotOutput output, bool conditions);
  void set_memory(int64_t frame, const at::Tensor& memory, const at::Tensor& image);  // of a frame that is there
  void downgrade(int64_t frame);  // a conditioning frame becomes a tracked one
  // Only these buckets stay, in this order.
  void select_buckets(const std::vector<int64_t>& buckets);
  void clear();
  // What is left of one object for a state of its own, in which it has the first slot: everything but memory. `place`:
  // its slot until now, counted through all buckets.
  MultiplexBank extracted(int64_t id, int64_t place) const;

  // What a stored frame is in the attention: made by `project` where it is not there.
  template <class Project>
  const Program::Projection& frame_projection(int64_t frame, Project&& project) const {
    Program::Projection& kept = frame_projections_[frame];
    if (!kept.keys.defined()) kept = project(outputs_.at(frame));
    return kept;
  }
  template <class Project>
  const Program::Projection& pointer_projection(int64_t frame, Project&& project) const {
    Program::Projection& kept = pointer_projections_[frame];
    if (!kept.keys.defined()) kept = project(outputs_.at(frame));
    return kept;
  }
  // Lets go of the projections of all other frames.
  void keep_projections(const std::set<int64_t>& frames, const std::set<int64_t>& pointers) const;

  // See ObjectTracker::prune(). Returns the conditioning frames that are gone.
  std::vector<int64_t> prune(int64_t frame);
  // See ObjectTracker::move_to_host().
  void move_to_host(int64_t frame);
  // Bytes that frames and pointers store of one object in an extracted() bank.
  int64_t extracted_bytes(int64_t id) const;
  int64_t projection_bytes() const;  // of the projections that are there
  int64_t bytes() const;             // of all tensors
  int64_t host_bytes() const;        // of those that lie on the host

 private:
  void forget_projections(int64_t frame);
  int64_t sum_bytes(bool host_only) const;

  bool exceeds_ = false;
  std::map<int64_t, SlotOutput> outputs_;
  std::vector<int64_t> order_;  // conditioning frames
  mutable std::map<int64_t, Program::Projection> frame_projections_, pointer_projections_;
};

}  // namespace sam3
