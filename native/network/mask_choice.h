#pragma once
#include <ATen/core/Tensor.h>

namespace sam3 {

// Which of the decoder's four masks answers a prompt that wants one mask: the first if it is stable (the area above
// +0.05 is at least 0.98 of that above -0.05), else the best of the other three by estimated IoU.
// `masks` [B,4,h,w] logits, `iou` [B,4], both float32 -> int64 [B]. Source: the mask decoder's
// dynamic_multimask_via_stability with the deltas of SAM 3.
at::Tensor choose_single_mask(const at::Tensor& masks, const at::Tensor& iou);

}  // namespace sam3
