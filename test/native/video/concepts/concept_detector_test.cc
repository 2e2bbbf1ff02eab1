// What the detector finds in the frames of the recorded runs.
#include "video/concepts/concept_detector.h"

#include <ATen/ATen.h>
#include <doctest/doctest.h>

#include "core/error.h"
#include "support/concept_replay.h"
#include "support/golden.h"
#include "support/support.h"
#include "support/video_golden.h"
#include "video/frames/frame_transform.h"

using namespace sam3;
using namespace sam3::test;

namespace {

constexpr double kScores = 1e-4, kBoxes = 1e-4, kLogits = 2e-3;

double difference(const at::Tensor& a, const at::Tensor& b) {
  REQUIRE(a.sizes() == b.sizes());
  return a.numel() == 0 ? 0 : (a - b).abs().max().item<double>();
}

void check(const ConceptDetections& found, const GoldenTensors& golden, const std::string& key) {
  CAPTURE(key);
  const auto count = static_cast<int64_t>(found.scores.size());
  CHECK(difference(at::tensor(at::ArrayRef<float>(found.scores)), golden.at(key + "det_scores")) < kScores);
  at::Tensor boxes = at::empty({count, 4});
  for (int64_t i = 0; i < count; i++)
    for (int64_t c = 0; c < 4; c++) boxes[i][c] = found.boxes[i][c];
  CHECK(difference(boxes, golden.at(key + "det_boxes_xyxy")) < kBoxes);
  if (golden.has(key + "det_masks")) CHECK(difference(found.masks.cpu(), golden.at(key + "det_masks")) < kLogits);
  const MaskBits bits = MaskBits::above_zero(found.masks);
  REQUIRE(found.bits.count() == count);
  for (int64_t i = 0; i < count; i++) CHECK(same_mask(bits, i, found.bits, i));
}

}  // namespace

TEST_CASE("golden concept detector: what the recorded runs found, alone and as one batch") {
  const auto recording = golden_cases("text_video");
  if (!recording) return;
  const Clip clip(golden_model(), *recording);
  const GoldenTensors tensors(golden_model(), "text_video");
  FrameStore frames(clip.model(), FrameFilter::bilinear, false);
  std::vector<ConceptRun> runs = concept_runs(*recording);
  std::erase_if(runs, [](const ConceptRun& run) { return run.crafted_detections; });
  bool compared = false;
  for (const ConceptRun& run : runs) {
    CAPTURE(run.name);
    for (const Json& internal : run.internals()) {
      const int64_t frame = internal.at("frame").as_int("frame"), step = internal.at("i").as_int("i");
      const std::string key = run.key + "internal." + numbered(step) + ".";
      if (!tensors.has(key + "det_masks")) continue;  // masks were recorded of some frames only
      if (!run.has_text && frame != run.start) continue;
      frames.open(frame, clip.frame(frame), {});
      const ConceptPrompt prompt = run.prompt_on(frame);
      std::vector<ConceptPrompt> others;
      for (const ConceptRun& other : runs) others.push_back(other.prompt_on(other.start));
      const auto alone =
          detect_concepts(clip.model(), frames.detector(frame), {&prompt}, Sam3Rules(run.options), false, {});
      REQUIRE(alone.size() == 1);
      check(alone[0], tensors, key);
      std::vector<const ConceptPrompt*> all{&prompt};
      for (const ConceptPrompt& other : others) all.push_back(&other);
      const auto batch = detect_concepts(clip.model(), frames.detector(frame), all, Sam3Rules(run.options), false, {});
      REQUIRE(batch.size() == all.size());
      check(batch[0], tensors, key);
      compared = true;
    }
  }
  if (!compared) left_out("detections of text_video in fp32");
}

TEST_CASE("concept detector: nothing asked, nothing found, and a cancelled call") {
  const GoldenTensors tensors(test_model(), "text_video");
  const auto loaded = test_model().load();
  ImageModel& model = *loaded;
  const auto table = byte_table(FrameFilter::bilinear, model.program().target());
  const auto pixels = normalize_frame(tensors.at("frames_u8")[0], table);
  const auto encoded = model.encode_pixels(pixels, 160, 120, {});
  const auto& image = model.detector_levels(*encoded);
  CHECK(detect_concepts(model, image, {}, Sam3Rules(ConceptOptions{}), false, {}).empty());
  const ConceptPrompt cat{token_ids("cat"), {}, {}};
  ConceptOptions never;
  never.score_threshold_detection = 1.0f;
  const auto none = detect_concepts(model, image, {&cat}, Sam3Rules(never), false, {});
  REQUIRE(none.size() == 1);
  CHECK(none[0].scores.empty());
  CHECK(none[0].masks.sizes() == at::IntArrayRef({0, 48, 48}));
  CHECK(none[0].bits.count() == 0);
  const CancelProbe cancelled([] { return true; });
  CHECK(error_of([&] {
          detect_concepts(model, image, {&cat}, Sam3Rules(ConceptOptions{}), false, cancelled);
        }).starts_with("ABORT_ERR"));
}
