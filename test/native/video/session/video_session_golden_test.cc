// Whole sessions with the network, against the recorded runs of the reference's video model.
#include <ATen/ATen.h>
#include <doctest/doctest.h>

#include <map>

#include "core/error.h"
#include "support/concept_replay.h"
#include "support/near_ties.h"
#include "support/support.h"
#include "support/video_golden.h"
#include "support/video_plan_checks.h"
#include "video/session/output_stage.h"
#include "video/session/video_session.h"
#include "video/tracker/bucket_tracker.h"

using namespace sam3;
using namespace sam3::test;

namespace {

constexpr double kScores = 1e-4, kBoxes = 1e-4, kLogits = 2e-3;

// Pixels whose logit is so near to zero that either side is right.
at::Tensor undecided(const std::vector<TrackedObject>& objects, int64_t height, int64_t width) {
  at::Tensor near = at::zeros({height, width}, at::kBool);
  for (const auto& object : objects) {
    const auto side = static_cast<int64_t>(std::lround(std::sqrt(object.logits.size())));
    const at::Tensor low = at::tensor(at::ArrayRef<float>(object.logits)).view({1, 1, side, side});
    near |= at::upsample_bilinear2d(low, {height, width}, false)[0][0].abs() < kLogits;
  }
  return near;
}

// One recorded output against ours: ids exactly, numbers within the tolerances.
Differences compare(const FrameResult& found, const Json& recorded, const ConceptRun& run, const GoldenTensors& tensors,
                    const Clip& clip) {
  const std::string key = run.key + "out." + numbered(recorded.at("i").as_int("i")) + ".";
  Differences differences(key);
  differences.expect(found.frame == recorded.at("frame").as_int("frame"), "another frame");
  if (const Json* stats = recorded.find("frame_stats"); stats && stats->find("num_obj_tracked")) {
    differences.expect(found.tracked == stats->at("num_obj_tracked").as_int("tracked"), "tracked objects");
    differences.expect(found.dropped == stats->at("num_obj_dropped").as_int("dropped"), "dropped objects");
  }
  std::vector<int64_t> shown;
  for (const auto& object : found.objects) shown.push_back(object.id);
  const auto expected = ints(recorded.at("obj_ids"));
  differences.expect(shown == expected, "objects " + text_of(shown) + " for " + text_of(expected));
  if (shown != expected || shown.empty()) return differences;

  const int64_t height = clip.height(), width = clip.width();
  const at::Tensor probs = tensors.at(key + "probs"), boxes = tensors.at(key + "boxes_xywh"),
                   masks = tensors.masks(key + "masks", height, width), near = undecided(found.objects, height, width);
  for (size_t i = 0; i < shown.size(); i++) {
    const TrackedObject& object = found.objects[i];
    const std::string name = "object " + std::to_string(object.id) + ", ";
    const auto row = static_cast<int64_t>(i);
    differences.expect(std::abs(object.score - probs[row].item<float>()) < kScores, name + "score");
    const at::Tensor flipped = pixels_of(object.mask, height, width) != masks[row];
    differences.expect(!(flipped & near.logical_not()).any().item<bool>(), name + "mask");
    const auto& [left, top, right, bottom] = object.box;
    const auto w = static_cast<float>(width), h = static_cast<float>(height);
    // The reference's far corner is the last pixel of the object.
    const at::Tensor xywh =
        at::tensor({left / w, top / h, std::max(0, right - left - 1) / w, std::max(0, bottom - top - 1) / h});
    // A pixel of an undecided edge moves a box by its own width.
    const double slack = flipped.any().item<bool>() ? 1.01 / static_cast<double>(std::min(height, width)) : kBoxes;
    differences.expect_near(xywh, boxes[row], slack, name + "box");
  }
  return differences;
}

// The near ties of a run, by the output from which on they matter. Results come as many frames late as new objects are
// watched: what is found meanwhile decides on them.
std::map<int64_t, std::string> ties_of(const ConceptRun& run, const Clip& clip, const GoldenTensors& tensors) {
  std::map<int64_t, std::string> ties;
  FrameStore frames(clip.model(), FrameFilter::bilinear, false);
  const int64_t late = std::max<int64_t>(run.options.hotstart_delay, 1) - 1;
  for (const Json& internal : run.internals()) {
    const int64_t frame = internal.at("frame").as_int("frame");
    frames.open(frame, clip.frame(frame), {});
    const std::string tie = run.tie_of(internal, run.detections(clip, frames, tensors, frame), tensors);
    if (!tie.empty()) ties.emplace(std::max<int64_t>(internal.at("i").as_int("i") + 1 - late, 1), tie);
  }
  return ties;
}

void check_kind(const ConceptRun::Stage& stage, const PropagationPlan& plan) {
  if (stage.op == "propagate_partial" || stage.op == "propagate_2nd_direction")
    CHECK(plan.kind == PropagationKind::partial);
  if (stage.op == "propagate_after_remove") {
    CHECK(plan.kind == PropagationKind::fetch);
    CHECK_FALSE(plan.encodes);
  }
}

// A run call by call, as a session answers it.
void replay(const ConceptRun& run, const Clip& clip, const GoldenTensors& tensors) {
  const auto ties = ties_of(run, clip, tensors);
  VideoOptions options = clip.options();
  options.concepts = run.options;
  options.full_history = run.stages.size() > 2;
  VideoSession session(clip.model(), options);
  RunComparison comparison(run.name);
  const auto check = [&](const ConceptRun::Stage& stage, const std::vector<FrameResult>& found) {
    comparison.check(found.size() == stage.outputs.size(), stage.op + ": another number of results");
    for (size_t i = 0; i < std::min(found.size(), stage.outputs.size()); i++) {
      const auto tie = ties.find(stage.outputs[i]->at("i").as_int("i"));
      if (tie != ties.end()) comparison.meet(tie->second);
      comparison.check(compare(found[i], *stage.outputs[i], run, tensors, clip));
    }
  };
  for (size_t i = 0; i < run.stages.size() && !comparison.ended(); i++) {
    const ConceptRun::Stage& stage = run.stages[i];
    if (i == 0) {
      check(stage, {session.add_concept(run.start, clip.frame(run.start), run.prompt(), {}).second});
    } else if (stage.is_propagation()) {
      for (const int64_t id : run.removed_before(i)) session.remove_object(id);
      PropagationPlan plan;
      check(stage, clip.propagate(session, stage.backward() ? Direction::backward : Direction::forward,
                                  stage.start(clip.frames()), stage.distance(clip.frames()), &plan));
      check_kind(stage, plan);
    } else {
      const Click click = click_of(stage.op);
      const FrameResult found = session.add_points(click.frame, nullptr, click.object, click.points, {});
      check(stage, {found});
      for (const TrackedObject& object : found.objects) {
        const auto side = static_cast<int64_t>(std::lround(std::sqrt(object.logits.size())));
        const at::Tensor logits = at::tensor(at::ArrayRef<float>(object.logits)).view({1, side, side});
        if (object.id == click.object) comparison.meet(tie_of_masks(logits, clip.model().input_size()));
      }
    }
  }
}

// Below the session: every decision of the first pass with the true tracker, and its masks, up to a near tie.
void check_decisions(const ConceptRun& run, const Clip& clip, const GoldenTensors& tensors) {
  VideoOptions options = clip.options();
  options.concepts = run.options;
  FrameStore frames(clip.model(), FrameFilter::bilinear, false);
  BucketTracker tracker(clip.model(), frames, options.tracker, clip.width(), clip.height(), clip.frames());
  ConceptState state(options.concepts, tracker);
  OutputStage stage({clip.width(), clip.height(), true});
  PendingFrames pending;
  int64_t next_id = 0;
  size_t step = 0, shown = 0;
  std::string tie;
  const auto process = [&](int64_t frame, bool reverse) {
    const Json& internal = run.internals().at(step);
    const std::string key = run.key + "internal." + numbered(static_cast<int64_t>(step++)) + ".";
    CAPTURE(key);
    REQUIRE(internal.at("frame").as_int("frame") == frame);
    frames.open(frame, clip.frame(frame), {});
    const auto detections = run.detections(clip, frames, tensors, frame);
    const FramePlan plan = state.step(frame, reverse, detections, next_id);
    check_plan(plan, internal);
    check_metadata(state.metadata(), next_id, internal.at("metadata"), kScores);
    const at::Tensor logits = tensors.at(key + "trk_obj_scores");
    REQUIRE(static_cast<int64_t>(plan.object_logits.size()) == logits.size(0));
    for (int64_t i = 0; i < logits.size(0); i++)
      CHECK(std::abs(plan.object_logits[i] - logits[i].item<float>()) < kLogits);
    if (tensors.has(key + "trk_low_res")) {
      const at::Tensor masks = tensors.at(key + "trk_low_res");
      for (int64_t i = 0; i < masks.size(0); i++)
        if (plan.suppressed.empty() || !plan.suppressed[i])
          CHECK((plan.masks.host()[i] - masks[i]).abs().max().item<double>() < kLogits);
    }
    stage.store(frame, record_of(plan, detections, state.metadata(), options.concepts, stage.rules()));
    tie = run.tie_of(internal, detections, tensors);
  };
  const auto result = [&](int64_t frame, std::vector<TrackedObject> objects) {
    const FrameRecord& record = *stage.find(frame);
    const ConceptRun::Stage& recorded = run.stages[shown == 0 ? 0 : 1];
    const Json& output = *recorded.outputs.at(shown == 0 ? 0 : shown - 1);
    shown++;
    const FrameResult found{frame, std::move(objects), record.tracked, record.dropped};
    const std::string wrong = compare(found, output, run, tensors, clip).found();
    CHECK_MESSAGE(wrong.empty(), wrong);
  };
  const ConceptRun::Stage& pass = run.stages.at(1);
  const bool reverse = pass.backward();
  process(run.start, false);
  result(run.start, stage.look(run.start));
  pending.begin(options.concepts.hotstart_delay);
  for (const int64_t frame : pass.frames) {
    if (!tie.empty()) {
      MESSAGE(run.name << ": near tie, " << tie << ": decisions compared up to there");
      return;
    }
    process(frame, reverse);
    for (const int64_t ready : pending.push(frame, frame == pass.frames.back()))
      result(ready,
             stage.finalise(ready, state.metadata().hotstart.removed,
                            options.concepts.masklet_confirmation_consecutive_det_thresh - 1, reverse, clip.frames()));
  }
  CHECK(shown == 1 + pass.frames.size());
}

// Calls `body` for the recorded runs that `wanted` accepts.
template <class Wanted, class Body>
void for_runs(const std::string& what, Wanted&& wanted, Body&& body) {
  const auto recording = golden_cases("text_video");
  if (!recording) return;
  const Clip clip(golden_model(), *recording);
  const GoldenTensors tensors(golden_model(), "text_video");
  bool any = false;
  for (const ConceptRun& run : concept_runs(*recording)) {
    if (!wanted(run)) continue;
    any = true;
    CAPTURE(run.name);
    body(run, clip, tensors);
  }
  if (!any) left_out(what);
}

}  // namespace

TEST_CASE("golden video session: every recorded run of the network, call by call") {
  for_runs(
      "run of text_video with the network alone", [](const ConceptRun& run) { return !run.crafted_detections; },
      replay);
}

TEST_CASE("golden video session: the decisions and masks of the recorded runs with the true tracker") {
  for_runs("run of text_video with the true tracker", [](const ConceptRun&) { return true; }, check_decisions);
}
