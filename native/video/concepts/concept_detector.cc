#include "video/concepts/concept_detector.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "core/error.h"
#include "core/host_values.h"

namespace sam3 {
namespace {

constexpr double kLogitEpsilon = 1e-3, kMaxLogit = 10.0;

// The score of a query, sigmoid(logit) * sigmoid(presence), through a clamped logit as the video model keeps it.
at::Tensor joint_scores(const at::Tensor& logits, const at::Tensor& presence) {
  const auto score = (logits.sigmoid() * presence.sigmoid()).clamp(0, 1);
  const auto logit = (score.clamp_min(kLogitEpsilon) / (1 - score).clamp_min(kLogitEpsilon)).log();
  return logit.clamp(-kMaxLogit, kMaxLogit).sigmoid();
}

std::vector<ConceptDetections> detect_batch(ImageModel& model, const Program::Levels& levels,
                                            const std::vector<const ConceptPrompt*>& prompts,
                                            const ConceptOptions& options, const CancelProbe& cancel) {
  cancel.check();
  const Program& program = model.program();
  const auto device = program.target().device;
  const auto count = static_cast<int64_t>(prompts.size());
  const auto image_index = at::zeros({count}, at::TensorOptions(at::kLong).device(device));
  const auto [prompt, valid] = model.prompt_tokens(prompts, levels.low, image_index);
  cancel.check();
  const auto found = program.detect(levels, image_index, prompt, valid);
  const auto scores = to_floats(joint_scores(found.logits, found.presence));
  const auto boxes = to_floats(found.boxes);
  const int64_t queries = found.logits.size(1), side = 4 * model.grid();
  cancel.check();

  std::vector<std::vector<int64_t>> above(prompts.size());
  std::vector<int64_t> wanted;  // prompts that found anything
  for (int64_t p = 0; p < count; p++) {
    for (int64_t q = 0; q < queries; q++)
      if (scores[p * queries + q] > options.score_threshold_detection) above[p].push_back(q);
    if (!above[p].empty()) wanted.push_back(p);
  }
  const auto empty = at::empty({0, side, side}, at::TensorOptions(at::kFloat).device(device));
  std::vector<ConceptDetections> out(prompts.size(), keep_detections({}, {}, empty, options));
  if (wanted.empty()) return out;

  const auto rows = index_tensor(wanted, device);
  const auto maps = program.pixel_embed(levels, at::zeros_like(rows), found.encoded.index_select(0, rows),
                                        prompt.index_select(0, rows), valid.index_select(0, rows));
  for (size_t i = 0; i < wanted.size(); i++) {
    cancel.check();
    const int64_t p = wanted[i];
    const auto chosen = found.queries[p].index_select(0, index_tensor(above[p], device)).unsqueeze(0);
    const auto masks = program.masks(maps.instance.narrow(0, static_cast<int64_t>(i), 1), chosen)[0].to(at::kFloat);
    std::vector<float> kept;
    std::vector<std::array<float, 4>> corners;
    for (const int64_t q : above[p]) {
      const float* box = &boxes[(p * queries + q) * 4];
      kept.push_back(scores[p * queries + q]);
      corners.push_back({box[0], box[1], box[2], box[3]});
    }
    out[p] = keep_detections(std::move(kept), std::move(corners), masks, options);
  }
  return out;
}

}  // namespace

std::vector<ConceptDetections> detect_concepts(ImageModel& model, const Program::Levels& image,
                                               const std::vector<const ConceptPrompt*>& prompts,
                                               const ConceptOptions& options, const CancelProbe& cancel) {
  std::vector<ConceptDetections> out;
  size_t step = static_cast<size_t>(model.pairs_per_batch());
  while (out.size() < prompts.size()) {
    const size_t begin = out.size(), n = std::min(step, prompts.size() - begin);
    const auto first = prompts.begin() + static_cast<std::ptrdiff_t>(begin);
    try {
      auto part = translate(ERR_INFERENCE, "Detecting", [&] {
        return detect_batch(model, image, {first, first + static_cast<std::ptrdiff_t>(n)}, options, cancel);
      });
      std::move(part.begin(), part.end(), std::back_inserter(out));
    } catch (const Error& e) {
      // A batch that does not fit after all is tried again in halves rather than failing.
      if (e.code() != ERR_OUT_OF_MEMORY || n == 1) throw;
      release_cached_memory(model.program().target().device);
      step = n / 2;
    }
  }
  return out;
}

}  // namespace sam3
