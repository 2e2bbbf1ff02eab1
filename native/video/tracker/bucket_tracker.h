#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "video/tracker/grouped_tracker.h"
#include "video/tracker/masklet_bucket.h"
#include "video/tracker/track_network.h"

namespace sam3 {

// The tracker of SAM 3: every object has memories of its own. A new object joins the bucket whose tracking has not
// started, or gets one of its own.
class BucketTracker final : public GroupedTracker<MaskletBucket, TrackNetwork> {
 public:
  using GroupedTracker::GroupedTracker;

  void recondition(int64_t frame, const std::vector<int64_t>& objects, const at::Tensor& masks) override;
  void update_memories(int64_t frame, const at::Tensor& masks) override;
  void add_objects(int64_t frame, const std::vector<int64_t>& ids, const at::Tensor& masks) override;

  BucketFrame add_points(int64_t frame, int64_t object, const ClickPrompt& input) override;
  BucketFrame add_mask(int64_t frame, int64_t object, const at::Tensor& mask) override;

 private:
  Asked ask(int64_t frame, bool reverse, const std::vector<size_t>& moving, bool encode_memory) override;
  std::vector<Tracked> receive(Asked asked) const override;
  MaskletBucket new_bucket() const override { return {}; }
  size_t home_of(int64_t object) const override;
  at::Tensor tracked_memory(const Program::Levels& image, const at::Tensor& masks, const at::Tensor& object_logits);
  template <class Body>
  BucketFrame prompt(int64_t frame, int64_t object, Body&& body);
};

}  // namespace sam3
