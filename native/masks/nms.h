#pragma once
#include <cstdint>
#include <vector>

#include "masks/mask_bits.h"

namespace sam3 {

// Greedy suppression: indices of the scores that stay, best first; one falls when its IoU with a better one that stays
// is above `iou_threshold`. `ious` is [n * n] row-major. Of equal scores the last index comes first.
// Source: Meta's generic_nms on the CPU.
std::vector<int64_t> generic_nms(const std::vector<float>& ious, const std::vector<float>& scores, float iou_threshold);

// Which of the detections stay: score > threshold and not suppressed by mask IoU. Source: Meta's nms_masks.
std::vector<bool> nms_masks(const std::vector<float>& scores, const MaskBits& masks, float score_threshold,
                            float iou_threshold);

}  // namespace sam3
