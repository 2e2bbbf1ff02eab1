// The tracker against the recorded runs of the reference: points, boxes, masks, corrections, removal, both directions.
#include <ATen/Functions.h>
#include <doctest/doctest.h>

#include <cstdio>

#include "support.h"
#include "tracker_replay.h"
#include "video_golden.h"

using namespace sam3;
using namespace sam3::test;

namespace {

constexpr int64_t kHeight = 120, kWidth = 160;
constexpr double kLogitTolerance = 2e-3;

double difference(const at::Tensor& a, const at::Tensor& b) {
  REQUIRE(a.sizes() == b.sizes());
  return a.numel() ? (a - b).abs().max().item<double>() : 0.0;
}

at::Tensor at_video_size(const at::Tensor& logits) {
  return at::upsample_bilinear2d(logits.unsqueeze(1), {kHeight, kWidth}, false).squeeze(1);
}

// Logits [N,height,width] of a bucket, with the masks that were given as they are.
at::Tensor video_logits(const BucketFrame& bucket) {
  at::Tensor logits = at_video_size(bucket.masks);
  for (size_t i = 0; i < bucket.given.size(); i++)
    if (bucket.given[i].defined()) logits[static_cast<int64_t>(i)].copy_(at::where(bucket.given[i], 1024.0f, -1024.0f));
  return logits;
}

// Pixels may differ only where the logit is so near to zero that rounding decides.
void check_masks(const at::Tensor& logits, const at::Tensor& expected) {
  REQUIRE(logits.sizes() == expected.sizes());
  const auto wrong = logits.gt(0).ne(expected).logical_and(logits.abs() > kLogitTolerance);
  CHECK(wrong.sum().item<int64_t>() == 0);
}

class Comparison {
 public:
  Comparison(const GoldenTensors& tensors, const ReplayRun& run, const ReplayStep& step)
      : tensors_(tensors), step_(step) {
    char number[8];
    std::snprintf(number, sizeof number, "%03d.", static_cast<int>(step.index));
    key_ = run.key + number;
  }

  void check(const char* name, const at::Tensor& got, double tolerance) const {
    if (!tensors_.has(key_ + name)) return;
    CAPTURE(name);
    CHECK(difference(got, tensors_.at(key_ + name)) <= tolerance);
  }

  void prompt(const BucketFrame& bucket) const {
    CHECK(bucket.ids == step_.object_ids);
    const at::Tensor logits = video_logits(bucket);
    check_masks(logits, tensors_.masks(key_ + "masks", kHeight, kWidth));
    const at::Tensor flat = logits.flatten(), sample = tensors_.at(key_ + "video_res_logits.sample64");
    for (int64_t i = 0; i < 64; i++)
      CHECK(std::abs(flat[i * flat.numel() / 64].item<double>() - sample[i].item<double>()) <= kLogitTolerance);
    const auto place = std::find(bucket.ids.begin(), bucket.ids.end(), step_.object) - bucket.ids.begin();
    if (place == static_cast<int64_t>(bucket.ids.size())) return;
    check("obj_low_res", bucket.masks[place], kLogitTolerance);
    check("obj_score", bucket.object_logits[place].view({1, 1}), 1e-4);
  }

  void tracked(const Propagated& out, const BucketTracker& tracker) const {
    CHECK(tracker.object_ids() == step_.object_ids);
    REQUIRE(tensors_.has(key_ + "low_res"));
    check("low_res", out.masks, kLogitTolerance);
    check("obj_scores", out.object_logits.unsqueeze(1), 1e-4);
    check_masks(at_video_size(out.masks), tensors_.masks(key_ + "masks", kHeight, kWidth));
    REQUIRE(tracker.buckets().size() == 1);
    const MemoryBank& bank = tracker.buckets()[0].bank();
    const FrameOutput* stored = bank.conditioning(step_.frame);
    if (!stored) stored = bank.tracked(step_.frame);
    REQUIRE(stored);
    check("obj_ptr", stored->pointers, 2e-4);
    check("iou_score", stored->iou, 1e-4);
    CHECK(stored->score.has_value() == tensors_.has(key_ + "eff_iou_score"));
    if (stored->score) check("eff_iou_score", at::full({1}, *stored->score), 1e-4);
    const int64_t grid = 12;
    check("maskmem_features", stored->memory.transpose(1, 2).unflatten(2, {grid, grid}), 2e-4);
  }

  void removed(BucketTracker& tracker) const {
    CHECK(tracker.object_ids() == step_.object_ids);
    for (const int64_t frame : {0}) {
      const std::string name = key_ + "updated_" + std::to_string(frame);
      REQUIRE(tensors_.has(name + ".bits"));
      const BucketFrame bucket = tracker.on_frame(frame, step_.object_ids[0]);
      check_masks(video_logits(bucket), tensors_.masks(name, kHeight, kWidth));
    }
  }

 private:
  const GoldenTensors& tensors_;
  const ReplayStep& step_;
  std::string key_;
};

}  // namespace

TEST_CASE("tracker: every recorded run of the reference, step by step") {
  const GoldenModel golden = golden_model();
  if (!golden) return;
  const auto model = load_golden(golden);
  const GoldenTensors tensors(golden, "tracker_video");
  const auto runs = replay_runs(golden, model->input_size());
  CHECK(runs.size() == 9);
  for (const ReplayRun& run : runs) {
    if (run.failed) continue;
    CAPTURE(run.name);
    Replay replay(golden, *model, /*full_history=*/true);
    for (const ReplayStep& step : run.steps) {
      CAPTURE(step.index);
      const auto answer = replay.run(step);
      const Comparison comparison(tensors, run, step);
      if (answer.bucket) comparison.prompt(*answer.bucket);
      if (answer.tracked) comparison.tracked(*answer.tracked, replay.tracker());
      if (step.kind == ReplayStep::Kind::remove) comparison.removed(replay.tracker());
    }
  }
}

TEST_CASE("tracker: a prompt taken back before the first propagation leaves those of other objects") {
  const GoldenModel golden = golden_model();
  if (!golden) return;
  const auto model = load_golden(golden);
  const GoldenTensors tensors(golden, "tracker_video");
  for (const ReplayRun& run : replay_runs(golden, model->input_size())) {
    if (!run.failed) continue;  // here the reference forgets all prompts, and then refuses to track
    Replay replay(golden, *model, false);
    for (const ReplayStep& step : run.steps) {
      const auto answer = replay.run(step);
      if (answer.bucket && step.index < 2) Comparison(tensors, run, step).prompt(*answer.bucket);
    }
    REQUIRE(replay.tracker().object_ids() == std::vector<int64_t>{1, 2});
    const at::Tensor clicked = tensors.at(run.key + "000.obj_low_res");
    for (int64_t frame = 0; frame < 5; frame++) {
      replay.open(frame);
      const Propagated out = replay.tracker().propagate_some(frame, false, {1});
      REQUIRE(out.masks.size(0) == 2);
      if (frame == 0) {
        CHECK(difference(out.masks[0], clicked) <= kLogitTolerance);
        CHECK(out.masks[1].max().item<float>() == -1024.0f);
      }
    }
  }
}
