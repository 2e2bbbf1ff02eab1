#include "video/concepts/concept_detector.h"

#include <ATen/ATen.h>

#include "core/error.h"
#include "core/host_values.h"
#include "network/in_parts.h"

namespace sam3 {
namespace {

constexpr double kLogitEpsilon = 1e-3, kMaxLogit = 10.0;

// Scores through a clamped logit, as the video model keeps them.
at::Tensor clamped(const at::Tensor& scores) {
  const auto score = scores.clamp(0, 1);
  const auto logit = (score.clamp_min(kLogitEpsilon) / (1 - score).clamp_min(kLogitEpsilon)).log();
  return logit.clamp(-kMaxLogit, kMaxLogit).sigmoid();
}

void detect_batch(ImageModel& model, const Program::Levels& levels, const std::vector<const ConceptPrompt*>& prompts,
                  const ConceptRules& rules, bool prompted, const CancelProbe& cancel, ConceptDetections* out) {
  const auto count = static_cast<int64_t>(prompts.size());
  const auto found = model.detector().find(prompts, std::vector<int64_t>(prompts.size(), 0), levels.coarse, cancel);
  const auto values = to_floats({clamped(found.scores), found.boxes});
  const auto &scores = values[0], &boxes = values[1];
  cancel.check();

  std::vector<std::vector<int64_t>> above(prompts.size());
  std::vector<int64_t> wanted;  // prompts that found anything
  for (int64_t p = 0; p < count; p++) {
    for (int64_t q = 0; q < found.queries; q++)
      if (scores[p * found.queries + q] > rules.options().score_threshold_detection) above[p].push_back(q);
    if (!above[p].empty()) wanted.push_back(p);
  }
  std::vector<at::Tensor> masks;  // of the wanted prompts
  model.detector().masks(found, {{&levels, wanted}}, Detector::features_of(found, above), cancel,
                         [&](int64_t, const at::Tensor& logits, const at::Tensor&) { masks.push_back(logits); });
  if (masks.empty()) return;
  const auto all = (masks.size() == 1 ? masks[0] : at::cat(masks)).to(at::kFloat);
  const MaskBits bits = MaskBits::above_zero(all);  // fetched together
  int64_t row = 0;
  for (const int64_t p : wanted) {
    std::vector<float> kept;
    std::vector<std::array<float, 4>> corners;
    std::vector<int64_t> rows;
    for (const int64_t q : above[p]) {
      const float* box = &boxes[(p * found.queries + q) * 4];
      kept.push_back(scores[p * found.queries + q]);
      corners.push_back({box[0], box[1], box[2], box[3]});
      rows.push_back(row + static_cast<int64_t>(rows.size()));
    }
    const auto count = static_cast<int64_t>(rows.size());
    // A copy of its own, or one prompt's masks would hold the memory of all.
    const auto own = count == all.size(0) ? all : all.narrow(0, row, count).clone();
    out[p] = rules.keep(std::move(kept), std::move(corners), own, bits.select(rows), prompted);
    row += count;
  }
}

}  // namespace

std::vector<ConceptDetections> detect_concepts(ImageModel& model, const Program::Levels& image,
                                               const std::vector<const ConceptPrompt*>& prompts,
                                               const ConceptRules& rules, bool prompted, const CancelProbe& cancel) {
  const auto device = model.program().target().device;
  const int64_t side = model.mask_side();
  const auto none = at::empty({0, side, side}, at::TensorOptions(at::kFloat).device(device));
  std::vector<ConceptDetections> out(prompts.size(), rules.keep({}, {}, none, MaskBits::above_zero(none), prompted));
  in_parts(static_cast<int64_t>(prompts.size()), model.pairs_per_batch(), device, [&](int64_t begin, int64_t count) {
    const auto first = prompts.begin() + begin;
    translate(ERR_INFERENCE, "Detecting",
              [&] { detect_batch(model, image, {first, first + count}, rules, prompted, cancel, &out[begin]); });
  });
  return out;
}

}  // namespace sam3
