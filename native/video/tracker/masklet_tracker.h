#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

namespace sam3 {

// What the tracker says about all its objects on one frame, in object order.
struct Propagated {
  at::Tensor masks;          // [N,4G,4G] float32 logits on the device, before hole filling
  at::Tensor object_logits;  // [N] float32 on the host: above 0 the object is present
  at::Tensor host_masks;     // `masks` on the host; the same tensor where that is the device
};

// What the concept logic needs of the tracker. Objects keep their order: that of the buckets, then of the objects in
// them. G is the side of the coarsest feature map (72 in the released model).
class MaskletTracker {
 public:
  virtual ~MaskletTracker() = default;

  virtual std::vector<int64_t> object_ids() const = 0;

  // Tracks all objects to `frame` without encoding memory. Objects of all buckets run as one batch.
  virtual Propagated propagate(int64_t frame, bool reverse) = 0;

  // `masks` [K,4G,4G]: the logits of a detection for each of the objects. Gives their buckets new mask inputs on
  // `frame` and runs their preflight (in the reference _recondition_masklets). ERR_UNKNOWN_OBJECT.
  virtual void recondition(int64_t frame, const std::vector<int64_t>& objects, const at::Tensor& masks) = 0;

  // Encodes and stores the memory of `frame` for all objects from their final low-resolution masks [N,4G,4G], which is
  // where masks that lose most of their area to others are suppressed (in the reference _tracker_update_memories).
  virtual void update_memories(int64_t frame, const at::Tensor& masks) = 0;

  // A new bucket of objects from detection masks [K,4G,4G], logits (in the reference _tracker_add_new_objects).
  virtual void add_objects(int64_t frame, const std::vector<int64_t>& ids, const at::Tensor& masks) = 0;

  virtual void remove_objects(const std::vector<int64_t>& ids) = 0;
};

}  // namespace sam3
