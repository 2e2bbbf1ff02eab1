#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>

namespace sam3 {

// Masks that compete for pixels, before they become memory. `source(begin, count)` gives the logits [count,h,w] of the
// objects from `begin` on; at most `step` are asked for at a time, because all of them at full size may not fit.

using LogitSource = std::function<at::Tensor(int64_t begin, int64_t count)>;

// For every pixel the object with the highest logit (of equal ones the first): int64 [h,w].
at::Tensor strongest_object(const LogitSource& source, int64_t total, int64_t step);

// Which objects keep at least `threshold` of their area where every pixel belongs to the strongest object only: bool
// [total] on the masks' device. An empty mask does not. Source: _suppress_object_pw_area_shrinkage.
at::Tensor keeps_area(const LogitSource& source, int64_t total, int64_t step, float threshold = 0.3f);

// Logits [count,h,w] of objects `begin`... with those pixels at most -10 that belong to another object.
// Source: _apply_non_overlapping_constraints.
at::Tensor without_overlap(const at::Tensor& logits, const at::Tensor& strongest, int64_t begin);

}  // namespace sam3
