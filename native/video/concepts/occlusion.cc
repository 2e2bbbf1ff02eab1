#include "video/concepts/occlusion.h"

namespace sam3 {

std::vector<bool> recently_occluded(const MaskBits& masks, const std::vector<int64_t>& last_occluded, float threshold,
                                    bool reverse) {
  const int64_t n = masks.count();
  std::vector<bool> suppress(n);
  if (n < 2) return suppress;
  const auto later = [&](int64_t a, int64_t b) { return reverse ? a < b : a > b; };
  const auto ious = mask_iou(masks, masks);
  for (int64_t i = 0; i < n; i++)
    for (int64_t j = i + 1; j < n; j++) {
      if (!(ious[i * n + j] >= threshold)) continue;
      const int64_t a = last_occluded[i], b = last_occluded[j];
      if (later(a, b) && b > kNeverOccluded) suppress[i] = true;
      if (later(b, a) && a > kNeverOccluded) suppress[j] = true;
    }
  return suppress;
}

}  // namespace sam3
