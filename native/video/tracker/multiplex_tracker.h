#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "video/tracker/grouped_tracker.h"
#include "video/tracker/multiplex_network.h"
#include "video/tracker/multiplex_state.h"

namespace sam3 {

// The tracker of SAM 3.1: objects in slots of buckets. New objects of a frame go together into one state (see
// state_for()); an object that the user prompts gets a state of its own. Results have objects in the order in which
// they came.
class MultiplexTracker final : public GroupedTracker<MultiplexState, MultiplexNetwork> {
 public:
  using GroupedTracker::GroupedTracker;

  void recondition(int64_t frame, const std::vector<int64_t>& objects, const at::Tensor& masks) override;
  void update_memories(int64_t frame, const at::Tensor& masks) override;
  void add_objects(int64_t frame, const std::vector<int64_t>& ids, const at::Tensor& masks) override;
  void remove_objects(const std::vector<int64_t>& ids) override;

  BucketFrame add_points(int64_t frame, int64_t object, const ClickPrompt& input) override;
  BucketFrame add_mask(int64_t frame, int64_t object, const at::Tensor& mask) override;
  // All masks on other frames, near or far, are no input any more; those frames go on conditioning. The reference takes
  // the masks away first and then finds no frame that it would take back. When it meets one it tracks it anew, and
  // keeps what it had of it beside that, which ours does not.
  void clear_mask_prompts_around(int64_t frame, int64_t object, int64_t window) override;
  // Without keep_last_cond_frame ERR_NO_PROMPT as soon as one state has lost its conditioning frames.
  Propagated propagate_some(int64_t frame, bool reverse, const std::vector<int64_t>& objects,
                            bool encode_memory = true) override;

  int64_t growth_of_prompt(int64_t frame, int64_t object) const override;

  // The masks of prompts that are given together, as those of detections are.
  void add_masks(int64_t frame, const std::vector<int64_t>& ids, const MaskPrompts& masks);
  void correct_masks(int64_t frame, const std::vector<int64_t>& ids, const MaskPrompts& masks);

 private:
  Asked ask(int64_t frame, bool reverse, const std::vector<size_t>& moving, bool encode_memory) override;
  std::vector<Tracked> receive(Asked asked) const override;
  MultiplexState new_bucket() const override { return {network_.slots(), options_}; }
  size_t home_of(int64_t object) const override;
  std::vector<int64_t> in_order(std::vector<int64_t> ids) const override;
  template <class Body>
  BucketFrame prompt(int64_t frame, int64_t object, Body&& body);

  std::vector<int64_t> order_;  // of the objects, as they came
};

}  // namespace sam3
