#include "network/mask_choice.h"

#include <ATen/ATen.h>

namespace sam3 {
namespace {

constexpr float kStabilityDelta = 0.05f;
constexpr float kStabilityThreshold = 0.98f;

}  // namespace

at::Tensor choose_single_mask(const at::Tensor& masks, const at::Tensor& iou) {
  const auto first = masks.select(1, 0).flatten(1);
  const auto inner = first.gt(kStabilityDelta).sum(1).to(at::kFloat);
  const auto outer = first.gt(-kStabilityDelta).sum(1).to(at::kFloat);
  const auto stability = at::where(outer > 0, inner / outer, at::ones_like(inner));
  const auto best = iou.narrow(1, 1, 3).argmax(1) + 1;
  return at::where(stability >= kStabilityThreshold, at::zeros_like(best), best);
}

}  // namespace sam3
