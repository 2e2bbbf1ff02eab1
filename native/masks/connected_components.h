#pragma once
#include <ATen/core/Tensor.h>

namespace sam3 {

// Holes of a mask: 8-connected components of logits <= 0 with at most `max_area` pixels are set to `fill`.
// Source: Meta's postprocessing of clicked masks (at most 256 low-resolution pixels become +10).
// `masks` [N, h, w], any float type; returns float32 on the CPU.
at::Tensor fill_holes(const at::Tensor& masks, int64_t max_area, float fill);

}  // namespace sam3
