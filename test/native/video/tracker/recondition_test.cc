// Objects that detections correct: all at once as one after the other.
#include <ATen/Functions.h>
#include <doctest/doctest.h>

#include <vector>

#include "support/support.h"
#include "video/tracker/tracker_replay.h"

using namespace sam3;
using namespace sam3::test;

namespace {

// Logits [K,side,side] of discs in a row, of which neighbours overlap; on the model's device.
at::Tensor discs(const ImageModel& model, int64_t count, double shift) {
  const int64_t side = model.mask_side();
  const auto axis = at::arange(side, at::kFloat).add(0.5).div(static_cast<double>(side));
  std::vector<at::Tensor> masks;
  for (int64_t i = 0; i < count; i++) {
    const double middle = 0.15 + 0.7 * static_cast<double>(i) / static_cast<double>(count - 1);
    const at::Tensor far = (axis - (middle + shift)).square().unsqueeze(0) + (axis - 0.5 - shift).square().unsqueeze(1);
    masks.push_back((0.05 - far) * 200);
  }
  return at::stack(masks).to(model.program().target().device);
}

}  // namespace

TEST_CASE("tracker: detections correct all objects at once as one after the other, in one bucket and in several") {
  if (!golden_cases("tracker_video")) return;
  const auto model = golden_model().load();
  Replay together(golden_model(), *model, /*full_history=*/true), single(golden_model(), *model, true);
  for (Replay* replay : {&together, &single}) {
    BucketTracker& tracker = replay->tracker();
    replay->open(0);
    tracker.add_objects(0, {0, 1, 2, 3}, discs(*model, 4, 0));
    replay->open(1);
    tracker.update_memories(1, tracker.propagate(1, false).masks);
    tracker.add_objects(1, {4, 5}, discs(*model, 2, -0.1));
    replay->open(2);
    tracker.update_memories(2, tracker.propagate(2, false).masks);
  }
  // One object of each bucket is left alone, and the order is not that of the buckets.
  const std::vector<int64_t> corrected{5, 3, 0, 2};
  const at::Tensor masks = discs(*model, 4, 0.03);
  together.tracker().recondition(2, corrected, masks);
  for (int64_t k = 0; k < masks.size(0); k++)
    single.tracker().recondition(2, {corrected[static_cast<size_t>(k)]}, masks.narrow(0, k, 1));

  const auto &some = together.tracker().buckets(), &others = single.tracker().buckets();
  REQUIRE(some.size() == 2);
  REQUIRE(others.size() == 2);
  for (size_t i = 0; i < some.size(); i++) {
    CAPTURE(i);
    const FrameOutput *one = some[i].bank().conditioning(2), *other = others[i].bank().conditioning(2);
    REQUIRE(one);
    REQUIRE(other);
    CHECK(at::equal(one->masks, other->masks));
    CHECK(at::equal(one->object_logits, other->object_logits));
    CHECK(at::equal(one->iou, other->iou));
    CHECK(at::allclose(one->pointers, other->pointers, 1e-5, 1e-5));
    CHECK(at::allclose(one->memory, other->memory, 1e-5, 1e-5));
    CHECK(some[i].pending_frames().empty());
  }
  for (Replay* replay : {&together, &single}) replay->open(3);
  const auto next = together.tracker().propagate(3, false), expected = single.tracker().propagate(3, false);
  CHECK(at::allclose(next.masks, expected.masks, 1e-3, 1e-3));
}
