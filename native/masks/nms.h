#pragma once
#include <cstdint>
#include <vector>

#include "masks/mask_bits.h"

namespace sam3 {

// Greedy suppression: indices of the scores that stay, best first; one falls when its IoU with a better one that stays
// is above `iou_threshold`. `ious` is [n * n] row-major. Of equal scores the last index comes first.
// Source: Meta's generic_nms on the CPU.
std::vector<int64_t> generic_nms(const std::vector<float>& ious, const std::vector<float>& scores, float iou_threshold);

// The same for any overlap, where of equal scores the first index comes first.
std::vector<int64_t> stable_nms(const std::vector<float>& overlaps, const std::vector<float>& scores, float threshold);

// One falls by any better one, even by one that has fallen itself; `overlaps` of the better one (the row) with the
// other.
std::vector<int64_t> nms_by_any(const std::vector<float>& overlaps, const std::vector<float>& scores, float threshold);

using Nms = std::vector<int64_t> (*)(const std::vector<float>& overlaps, const std::vector<float>& scores,
                                     float threshold);
using Overlap = std::vector<float> (*)(const MaskBits& a, const MaskBits& b);

// Which of the detections stay: score > threshold and not suppressed by the overlap of masks. Source: Meta's nms_masks.
std::vector<bool> nms_masks(const std::vector<float>& scores, const MaskBits& masks, float score_threshold,
                            float overlap_threshold, Overlap overlap = mask_iou, Nms nms = generic_nms);

}  // namespace sam3
