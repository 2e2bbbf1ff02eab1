// What the detector finds in the frames of the recorded runs.
#include "video/concept_detector.h"

#include <ATen/ATen.h>
#include <doctest/doctest.h>

#include "error.h"
#include "golden.h"
#include "support.h"
#include "video/frame_transform.h"
#include "video_golden.h"

using namespace sam3;
using namespace sam3::test;

namespace {

constexpr double kScores = 1e-4, kBoxes = 1e-4, kLogits = 2e-3;

ImageModel load(const GoldenModel& golden) {
  ImageModelOptions options;
  options.device = "cpu", options.dtype = "float32";
  return ImageModel(
      {golden.program + "/program.pt", golden.program + "/names.json", golden.model + "/model.safetensors"}, options,
      {});
}

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
  if (golden.has(key + "det_masks")) CHECK(difference(found.masks, golden.at(key + "det_masks")) < kLogits);
  const MaskBits bits = MaskBits::above_zero(found.masks);
  REQUIRE(found.bits.count() == count);
  for (int64_t i = 0; i < count; i++) CHECK(same_mask(bits, i, found.bits, i));
}

}  // namespace

TEST_CASE("concept detector: the recorded runs, alone and as one batch") {
  const GoldenModel golden = golden_model();
  if (!golden) return;
  const GoldenTensors tensors(golden, "text_video");
  ImageModel model = load(golden);
  const Json text_video = golden_json(golden.model, "text_video");
  const at::Tensor frames = tensors.at("frames_u8");

  const ConceptPrompt ellipse{token_ids("a red ellipse"), {}, {}}, cat{token_ids("cat"), {}, {}},
      box{token_ids("visual"), {0.1f + 0.15f, 0.2f + 0.175f, 0.3f, 0.35f}, {1}};
  const std::vector<std::pair<std::string, const ConceptPrompt*>> runs = {
      {"real_default", &ellipse}, {"real_lowered", &cat}, {"real_refine", &cat}, {"real_box_prompt", &box}};
  for (const int64_t frame : {0, 1, 7, 16, 23}) {
    CAPTURE(frame);
    const auto pixels = normalize_frame(frames[frame], FrameFilter::bilinear, model.program().target());
    const auto encoded = model.encode_pixels(pixels, 160, 120, {});
    const auto& image = model.detector_levels(*encoded);
    for (const auto& [name, prompt] : runs) {
      if (prompt == &box && frame > 0) continue;  // the box is asked on its own frame
      ConceptOptions options;
      for (const Json& run : text_video.at("runs").as_array("runs"))
        if (run.at("name").as_string("name") == name) apply(options, run.at("overrides"));
      const std::string key = name + ".fp32.internal." + numbered(frame == 0 ? 0 : frame + 1) + ".";
      const auto alone = detect_concepts(model, image, {prompt}, options, {});
      REQUIRE(alone.size() == 1);
      check(alone[0], tensors, key);
      const auto all = detect_concepts(model, image, {&ellipse, prompt, &box}, options, {});
      REQUIRE(all.size() == 3);
      check(all[1], tensors, key);
    }
  }
}

TEST_CASE("concept detector: nothing asked, nothing found, and a cancelled call") {
  const GoldenModel golden = golden_model();
  if (!golden) return;
  const GoldenTensors tensors(golden, "text_video");
  ImageModel model = load(golden);
  const auto pixels = normalize_frame(tensors.at("frames_u8")[0], FrameFilter::bilinear, model.program().target());
  const auto encoded = model.encode_pixels(pixels, 160, 120, {});
  const auto& image = model.detector_levels(*encoded);
  CHECK(detect_concepts(model, image, {}, {}, {}).empty());
  const ConceptPrompt cat{token_ids("cat"), {}, {}};
  ConceptOptions never;
  never.score_threshold_detection = 1.0f;
  const auto none = detect_concepts(model, image, {&cat}, never, {});
  REQUIRE(none.size() == 1);
  CHECK(none[0].scores.empty());
  CHECK(none[0].masks.sizes() == at::IntArrayRef({0, 48, 48}));
  CHECK(none[0].bits.count() == 0);
  const CancelProbe cancelled([] { return true; });
  CHECK(error_of([&] { detect_concepts(model, image, {&cat}, {}, cancelled); }).starts_with("ABORT_ERR"));
}
