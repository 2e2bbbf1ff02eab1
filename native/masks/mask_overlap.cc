#include "masks/mask_overlap.h"

#include <ATen/ATen.h>

#include <algorithm>

namespace sam3 {
namespace {

constexpr float kSuppressed = -10.0f;

at::Tensor rows_of(int64_t begin, const at::Tensor& logits) {
  return at::arange(begin, begin + logits.size(0), logits.options().dtype(at::kLong)).view({-1, 1, 1});
}

}  // namespace

at::Tensor strongest_object(const LogitSource& source, int64_t total, int64_t step) {
  at::Tensor best, owner;
  for (int64_t begin = 0; begin < total; begin += step) {
    const auto [logit, index] = source(begin, std::min(step, total - begin)).max(0);
    if (!best.defined()) {
      best = logit;
      owner = index;
      continue;
    }
    const auto stronger = logit > best;
    owner = at::where(stronger, index + begin, owner);
    best = at::where(stronger, logit, best);
  }
  return owner;
}

at::Tensor keeps_area(const LogitSource& source, int64_t total, int64_t step, float threshold) {
  const at::Tensor owner = strongest_object(source, total, step);
  std::vector<at::Tensor> kept;
  for (int64_t begin = 0; begin < total; begin += step) {
    const auto logits = source(begin, std::min(step, total - begin));
    const auto inside = logits > 0;
    const auto before = inside.sum({1, 2}).to(at::kFloat).clamp_min(1);
    const auto after = inside.logical_and(owner == rows_of(begin, logits)).sum({1, 2}).to(at::kFloat);
    kept.push_back(after / before >= threshold);
  }
  return at::cat(kept);
}

at::Tensor without_overlap(const at::Tensor& logits, const at::Tensor& strongest, int64_t begin) {
  return at::where(strongest == rows_of(begin, logits), logits, logits.clamp_max(kSuppressed));
}

}  // namespace sam3
