// Whole sessions with the network: the recorded runs of the reference, what must not change results, and errors.
#include "video/video_session.h"

#include <ATen/ATen.h>
#include <doctest/doctest.h>

#include <map>

#include "error.h"
#include "golden.h"
#include "support.h"
#include "video/bucket_tracker.h"
#include "video/concept_detector.h"
#include "video/output_stage.h"
#include "video_golden.h"
#include "video_plan_checks.h"
#include "video_session_support.h"

using namespace sam3;
using namespace sam3::test;

namespace {

constexpr double kScores = 1e-4, kBoxes = 1e-4, kLogits = 2e-3;

// Pixels whose logit is so near to zero that either side is right.
at::Tensor undecided(const std::vector<TrackedObject>& objects, int64_t height, int64_t width) {
  at::Tensor near = at::zeros({height, width}, at::kBool);
  for (const auto& object : objects) {
    const at::Tensor low = at::tensor(at::ArrayRef<float>(object.logits)).view({1, 1, 48, 48});
    near |= at::upsample_bilinear2d(low, {height, width}, false)[0][0].abs() < kLogits;
  }
  return near;
}

// One recorded output against ours: ids exactly, numbers within the tolerances.
void check_output(const FrameResult& found, const GoldenTensors& golden, const std::string& key) {
  CAPTURE(key);
  const at::Tensor ids = golden.at(key + "obj_ids"), probs = golden.at(key + "probs"),
                   boxes = golden.at(key + "boxes_xywh");
  std::vector<int64_t> shown, expected;
  for (const auto& object : found.objects) shown.push_back(object.id);
  for (int64_t i = 0; i < ids.size(0); i++) expected.push_back(ids[i].item<int64_t>());
  CHECK_MESSAGE(shown == expected, key << " " << text_of(shown) << " for " << text_of(expected));
  if (shown != expected || shown.empty()) return;
  const at::Tensor masks = golden.masks(key + "masks", kHeight, kWidth);
  const at::Tensor near = undecided(found.objects, kHeight, kWidth);
  for (size_t i = 0; i < shown.size(); i++) {
    const TrackedObject& object = found.objects[i];
    CAPTURE(object.id);
    const auto row = static_cast<int64_t>(i);
    CHECK(std::abs(object.score - probs[row].item<float>()) < kScores);
    const at::Tensor ours = pixels_of(object.mask, kHeight, kWidth);
    const at::Tensor wrong = (ours != masks[row]) & near.logical_not();
    CHECK_MESSAGE(wrong.sum().item<int64_t>() == 0,
                  key << " object " << object.id << ": " << wrong.sum().item<int64_t>() << " pixels differ");
    const auto& [left, top, right, bottom] = object.box;
    const float ours_xywh[] = {left / kWidth, top / kHeight, (right - left) / kWidth, (bottom - top) / kHeight};
    // A pixel of an undecided edge moves a box by its own width.
    const double slack = (ours != masks[row]).any().item<bool>() ? 1.01 / kHeight : kBoxes;
    for (int c = 0; c < 4; c++) CHECK(std::abs(ours_xywh[c] - boxes[row][c].item<float>()) < slack);
  }
}

const Json& run_named(const Json& text_video, const std::string& name) {
  for (const Json& run : text_video.at("runs").as_array("runs"))
    if (run.at("name").as_string("name") == name) return run;
  FAIL("no run " << name);
  return text_video;
}

// The recorded run's outputs, in their order.
class Expected {
 public:
  Expected(const GoldenTensors& golden, const Json& run)
      : golden_(golden),
        outputs_(run.at("outputs").as_array("outputs")),
        key_(run.at("name").as_string("name") + ".fp32.out.") {}
  void next(const FrameResult& found) {
    REQUIRE(at_ < outputs_.size());
    const Json& expected = outputs_[at_];
    REQUIRE(found.frame == expected.at("frame").as_int("frame"));
    if (const Json* stats = expected.find("frame_stats"); stats && stats->find("num_obj_tracked")) {
      CHECK(found.tracked == stats->at("num_obj_tracked").as_int("tracked"));
      CHECK(found.dropped == stats->at("num_obj_dropped").as_int("dropped"));
    }
    check_output(found, golden_, key_ + numbered(static_cast<int64_t>(at_)) + ".");
    at_++;
  }
  void next(const std::vector<FrameResult>& found) {
    for (const FrameResult& frame : found) next(frame);
  }
  bool done() const { return at_ == outputs_.size(); }
  size_t count() const { return at_; }

 private:
  const GoldenTensors& golden_;
  const Json::Array& outputs_;
  std::string key_;
  size_t at_ = 0;
};

}  // namespace

TEST_CASE("video session: the recorded text runs") {
  if (!Clip::available()) return;
  const Clip& clip = Clip::get();
  const Json text_video = golden_json(clip.golden().model, "text_video");
  for (const std::string name : {"real_default", "real_lowered"}) {
    CAPTURE(name);
    const Json& run = run_named(text_video, name);
    VideoOptions options = clip.options();
    apply(options.concepts, run.at("overrides"));
    VideoSession session(clip.model(), options);
    Expected expected(clip.tensors(), run);
    const std::string text = run.at("prompt").at("text_str").as_string("text");
    expected.next(session.add_concept(0, clip.frame(0), concept_of(text), {}).second);
    expected.next(clip.propagate(session, Direction::forward, 0));
    CHECK(expected.done());
  }
}

// Below the session: every decision of the runs with the true tracker, and its masks.
TEST_CASE("video session: the decisions and masks of the recorded runs with the true tracker") {
  if (!Clip::available()) return;
  const Clip& clip = Clip::get();
  const Json text_video = golden_json(clip.golden().model, "text_video");
  const auto crafted = golden_tensors(clip.golden().model, "text_video");
  for (const std::string name : {"crafted_det_real_trk", "real_lowered"}) {
    CAPTURE(name);
    const Json& run = run_named(text_video, name);
    VideoOptions options = clip.options();
    apply(options.concepts, run.at("overrides"));
    FrameStore frames(clip.model(), FrameFilter::bilinear, false);
    BucketTracker tracker(clip.model(), frames, options.tracker, kWidth, kHeight, kFrames);
    ConceptState state(options.concepts, tracker);
    OutputStage stage({kWidth, kHeight, true});
    PendingFrames pending;
    Expected expected(clip.tensors(), run);
    const ConceptPrompt prompt{token_ids("cat"), {}, {}};
    int64_t next_id = 0, step = 0;
    const auto process = [&](int64_t frame) {
      const Json& internal = run.at("internals").as_array("internals").at(static_cast<size_t>(step));
      const std::string key = name + ".fp32.internal." + numbered(step++) + ".";
      CAPTURE(key);
      frames.open(frame, clip.frame(frame), {});
      const auto detections = name == "real_lowered" ? detect_concepts(clip.model(), frames.detector(frame), {&prompt},
                                                                       options.concepts, {})[0]
                                                     : crafted_detections(*crafted, frame, options.concepts);
      const FramePlan plan = state.step(frame, false, detections, next_id);
      check_plan(plan, internal);
      check_metadata(state.metadata(), next_id, internal.at("metadata"), kScores);
      const at::Tensor logits = clip.tensors().at(key + "trk_obj_scores");
      for (int64_t i = 0; i < logits.size(0); i++)
        CHECK(std::abs(plan.object_logits[i] - logits[i].item<float>()) < kLogits);
      if (clip.tensors().has(key + "trk_low_res")) {
        const at::Tensor masks = clip.tensors().at(key + "trk_low_res");
        for (int64_t i = 0; i < masks.size(0); i++)
          if (plan.suppressed.empty() || !plan.suppressed[i])
            CHECK((plan.masks.host()[i] - masks[i]).abs().max().item<double>() < kLogits);
      }
      stage.store(frame, record_of(plan, detections, state.metadata(), options.concepts, stage.rules()));
    };
    const auto result = [&](int64_t frame, std::vector<TrackedObject> objects) {
      const FrameRecord& record = *stage.find(frame);
      expected.next(FrameResult{frame, std::move(objects), record.tracked, record.dropped});
    };
    process(0);
    result(0, stage.look(0));
    pending.begin(options.concepts.hotstart_delay);
    for (int64_t frame = 0; frame < kFrames; frame++) {
      process(frame);
      for (const int64_t ready : pending.push(frame, frame == kFrames - 1))
        result(ready, stage.finalise(ready, state.metadata().hotstart.removed, 2, false, kFrames));
    }
    CHECK(expected.done());
  }
}

TEST_CASE("video session: the recorded box run, as far as the reference agrees with itself") {
  if (!Clip::available()) return;
  const Clip& clip = Clip::get();
  const Json text_video = golden_json(clip.golden().model, "text_video");
  const Json& run = run_named(text_video, "real_box_prompt");
  VideoOptions options = clip.options();
  apply(options.concepts, run.at("overrides"));
  VideoSession session(clip.model(), options);
  Expected expected(clip.tensors(), run);
  ConceptPromptSpec prompt = concept_of("visual");
  prompt.has_text = false;
  prompt.boxes = {0.1f + 0.15f, 0.2f + 0.175f, 0.3f, 0.35f};
  prompt.labels = {1};
  expected.next(session.add_concept(0, clip.frame(0), prompt, {}).second);
  session.begin(Direction::forward, 0, std::nullopt);
  for (int64_t frame = 0; expected.count() < 8; frame++) expected.next(session.step(frame, clip.frame(frame), {}));
}

TEST_CASE("video session: the recorded run with refinement, both directions and a removal") {
  if (!Clip::available()) return;
  const Clip& clip = Clip::get();
  const Json text_video = golden_json(clip.golden().model, "text_video");
  const Json& run = run_named(text_video, "real_refine");
  VideoOptions options = clip.options();
  apply(options.concepts, run.at("overrides"));
  options.full_history = true;
  VideoSession session(clip.model(), options);
  Expected expected(clip.tensors(), run);
  const auto size = static_cast<float>(clip.model().input_size());
  const auto points = [&](std::vector<float> relative, std::vector<int64_t> labels) {
    PointInput input;
    for (const float x : relative) input.points.push_back(x * size);
    input.labels = std::move(labels);
    return input;
  };

  expected.next(session.add_concept(0, clip.frame(0), concept_of("cat"), {}).second);
  expected.next(clip.propagate(session, Direction::forward, 0));
  expected.next(session.add_points(4, nullptr, 0, points({.4f, .4f, .1f, .1f}, {1, 0}), {}));
  PropagationPlan plan;
  expected.next(clip.propagate(session, Direction::forward, 4, std::nullopt, &plan));
  CHECK(plan.kind == "partial");
  expected.next(session.add_points(10, nullptr, 50, points({.7f, .6f}, {1}), {}));
  expected.next(clip.propagate(session, Direction::forward, 10, std::nullopt, &plan));
  CHECK(plan.kind == "partial");
  expected.next(clip.propagate(session, Direction::backward, 10, std::nullopt, &plan));
  CHECK(plan.kind == "partial");
  CHECK(plan.first == 9);
  CHECK(plan.last == 0);
  session.remove_object(0);
  expected.next(clip.propagate(session, Direction::forward, 0, 3, &plan));
  CHECK(plan.kind == "fetch");
  CHECK_FALSE(plan.encodes);
  CHECK(expected.done());
}
