// The tracker against the recorded runs of the reference: points, boxes, masks, corrections, removal, both directions.
#include <ATen/Functions.h>
#include <doctest/doctest.h>

#include <algorithm>
#include <set>

#include "support/near_ties.h"
#include "support/support.h"
#include "support/video_golden.h"
#include "video/tracker/tracker_replay.h"

using namespace sam3;
using namespace sam3::test;

namespace {

constexpr double kLogitTolerance = 2e-3;

// A step of a run against its recording.
class Comparison {
 public:
  Comparison(const GoldenTensors& tensors, const Json& recording, const ReplayRun& run, const ReplayStep& step)
      : tensors_(tensors),
        step_(step),
        height_(recording.at("video_height").as_int("height")),
        width_(recording.at("video_width").as_int("width")),
        grid_(recording.at("low_res").as_int("side") / 4),
        key_(run.key + numbered(step.index) + "."),
        differences_("step " + std::to_string(step.index)) {}

  const Differences& prompt(const BucketFrame& bucket) {
    differences_.expect(bucket.ids == step_.object_ids, "other objects");
    const at::Tensor logits = video_logits(bucket);
    check_masks(logits, "masks");
    if (tensors_.has(key_ + "video_res_logits.sample64")) {
      const at::Tensor flat = logits.flatten(), places = at::arange(64) * flat.numel() / 64;
      check("video_res_logits.sample64", flat.index_select(0, places.to(at::kLong)), kLogitTolerance);
    }
    const auto place = std::find(bucket.ids.begin(), bucket.ids.end(), step_.object) - bucket.ids.begin();
    if (place < static_cast<int64_t>(bucket.ids.size())) {
      check("obj_low_res", bucket.masks[place], kLogitTolerance);
      check("obj_score", bucket.object_logits[place].view({1, 1}), 1e-4);
    }
    return differences_;
  }

  const Differences& tracked(const Propagated& out, const BucketTracker& tracker) {
    differences_.expect(tracker.object_ids() == step_.object_ids, "other objects");
    check("low_res", out.masks, kLogitTolerance);
    check("obj_scores", out.object_logits.unsqueeze(1), 1e-4);
    check_masks(at_video_size(out.masks), "masks");
    REQUIRE(tracker.buckets().size() == 1);
    const MemoryBank& bank = tracker.buckets()[0].bank();
    const FrameOutput* stored = bank.conditioning(step_.frame);
    if (!stored) stored = bank.tracked(step_.frame);
    REQUIRE(stored);
    check("obj_ptr", stored->pointers, 2e-4);
    check("iou_score", stored->iou, 1e-4);
    differences_.expect(stored->score.has_value() == tensors_.has(key_ + "eff_iou_score"), "scored or not");
    if (stored->score) check("eff_iou_score", at::full({1}, *stored->score), 1e-4);
    check("maskmem_features", stored->memory.transpose(1, 2).unflatten(2, {grid_, grid_}), 2e-4);
    return differences_;
  }

  const Differences& removed(Replay& replay) {
    differences_.expect(replay.tracker().object_ids() == step_.object_ids, "other objects");
    for (const int64_t frame : step_.updated) {
      const std::string name = "updated_" + std::to_string(frame);
      REQUIRE(tensors_.has(key_ + name + ".bits"));
      check_masks(video_logits(replay.stored(frame, step_.object_ids[0])), name);
    }
    return differences_;
  }

  // Masks of clicks are made binary at the size of the network's input, and remembered.
  std::string tie_of_click(const BucketFrame& bucket, int64_t input_size) const {
    const auto place = std::find(bucket.ids.begin(), bucket.ids.end(), step_.object) - bucket.ids.begin();
    if (place == static_cast<int64_t>(bucket.ids.size()) || bucket.given[place].defined()) return "";
    const std::string tie = tie_of_masks(bucket.masks.narrow(0, place, 1), input_size);
    return tie.empty() ? tie : numbered_step() + "object " + std::to_string(step_.object) + ", " + tie;
  }
  std::string tie_of_frame() const {
    const std::string key = key_ + "obj_scores";
    return tensors_.has(key) ? tie_of_scores(numbered_step() + "object score", tensors_.at(key), {0}) : "";
  }

 private:
  std::string numbered_step() const {
    return "step " + std::to_string(step_.index) + ", frame " + std::to_string(step_.frame) + ", ";
  }

  at::Tensor at_video_size(const at::Tensor& logits) const {
    return at::upsample_bilinear2d(logits.cpu().unsqueeze(1), {height_, width_}, false).squeeze(1);
  }

  // Logits [N,height,width] of a bucket, with the masks that were given as they are.
  at::Tensor video_logits(const BucketFrame& bucket) const {
    at::Tensor logits = at_video_size(bucket.masks);
    for (size_t i = 0; i < bucket.given.size(); i++)
      if (bucket.given[i].defined())
        logits[static_cast<int64_t>(i)].copy_(at::where(bucket.given[i], 1024.0f, -1024.0f));
    return logits;
  }

  void check(const std::string& name, const at::Tensor& ours, double tolerance) {
    if (tensors_.has(key_ + name)) differences_.expect_near(ours, tensors_.at(key_ + name), tolerance, name);
  }

  // Pixels may differ only where the logit is so near to zero that rounding decides.
  void check_masks(const at::Tensor& logits, const std::string& name) {
    const at::Tensor expected = tensors_.masks(key_ + name, height_, width_);
    if (logits.sizes() != expected.sizes()) return differences_.expect(false, name + " have another shape");
    const auto wrong = logits.gt(0).ne(expected).logical_and(logits.abs() > kLogitTolerance);
    differences_.expect(!wrong.any().item<bool>(), name + " differ");
  }

  const GoldenTensors& tensors_;
  const ReplayStep& step_;
  int64_t height_, width_, grid_;
  std::string key_;
  Differences differences_;
};

}  // namespace

TEST_CASE("golden tracker: every recorded run of the reference, step by step") {
  const auto recording = golden_cases("tracker_video");
  if (!recording) return;
  const auto model = golden_model().load();
  const GoldenTensors tensors(golden_model(), "tracker_video");
  bool replayed = false;
  for (const ReplayRun& run : replay_runs(*recording)) {
    if (run.failed) continue;
    replayed = true;
    CAPTURE(run.name);
    Replay replay(golden_model(), *model, /*full_history=*/true);
    RunComparison whole(run.name);
    for (const ReplayStep& step : run.steps) {
      if (whole.ended()) break;
      const auto answer = replay.run(step);
      Comparison comparison(tensors, *recording, run, step);
      if (answer.bucket) {
        whole.check(comparison.prompt(*answer.bucket));
        whole.meet(comparison.tie_of_click(*answer.bucket, model->input_size()));
      }
      if (answer.tracked) {
        whole.check(comparison.tracked(*answer.tracked, replay.tracker()));
        whole.meet(comparison.tie_of_frame());
      }
      if (step.kind == ReplayStep::Kind::remove) whole.check(comparison.removed(replay));
    }
  }
  if (!replayed) left_out("run of tracker_video in fp32");
}

// Where prompts of one object are taken back before the first propagation, the reference forgets those of all objects,
// and then refuses to track.
TEST_CASE("golden tracker: a prompt taken back before the first propagation leaves those of other objects") {
  using Kind = ReplayStep::Kind;
  const auto recording = golden_cases("tracker_video");
  if (!recording) return;
  const auto model = golden_model().load();
  const GoldenTensors tensors(golden_model(), "tracker_video");
  bool replayed = false;
  for (const ReplayRun& run : replay_runs(*recording)) {
    const auto is = [](Kind kind) { return [kind](const ReplayStep& step) { return step.kind == kind; }; };
    const auto first = std::find_if(run.steps.begin(), run.steps.end(), is(Kind::clear)),
               start = std::find_if(run.steps.begin(), run.steps.end(), is(Kind::preflight));
    if (!run.failed || first == run.steps.end() || start == run.steps.end()) continue;
    replayed = true;
    CAPTURE(run.name);
    Replay replay(golden_model(), *model, false), alone(golden_model(), *model, false);
    std::set<std::pair<int64_t, int64_t>> cleared;
    for (auto step = first; step != start; ++step) cleared.emplace(step->object, step->frame);
    std::vector<int64_t> left;
    int64_t begin = -1;
    for (auto step = run.steps.begin(); step != start; ++step) {
      const auto answer = replay.run(*step);
      if (step >= first) continue;
      const std::string wrong = Comparison(tensors, *recording, run, *step).prompt(*answer.bucket).found();
      CHECK_MESSAGE(wrong.empty(), wrong);
      if (cleared.contains({step->object, step->frame})) continue;
      alone.run(*step);
      begin = begin < 0 ? step->frame : std::min(begin, step->frame);
      if (std::find(left.begin(), left.end(), step->object) == left.end()) left.push_back(step->object);
    }
    REQUIRE_FALSE(left.empty());
    replay.run(*start), alone.run(*start);
    const auto all = replay.tracker().object_ids();
    CHECK(all == std::prev(start)->object_ids);
    const int64_t end = std::min(begin + 5, recording->at("num_frames").as_int("frames"));
    for (int64_t frame = begin; frame < end; frame++) {
      replay.open(frame), alone.open(frame);
      const Propagated out = replay.tracker().propagate_some(frame, false, left),
                       expected = alone.tracker().propagate_some(frame, false, left);
      for (size_t i = 0; i < all.size(); i++) {
        const at::Tensor mask = out.masks[static_cast<int64_t>(i)];
        const auto place = std::find(left.begin(), left.end(), all[i]) - left.begin();
        if (place < static_cast<int64_t>(left.size()))
          CHECK((mask - expected.masks[place]).abs().max().item<double>() <= kLogitTolerance);
        else if (frame == begin)
          CHECK(mask.max().item<float>() == -1024.0f);
      }
    }
  }
  if (!replayed) left_out("run in which the reference fails after prompts were taken back");
}
