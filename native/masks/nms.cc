#include "masks/nms.h"

#include <algorithm>
#include <numeric>

namespace sam3 {

std::vector<int64_t> generic_nms(const std::vector<float>& ious, const std::vector<float>& scores,
                                 float iou_threshold) {
  const size_t n = scores.size();
  std::vector<int64_t> order(n);
  std::iota(order.begin(), order.end(), int64_t{0});
  std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) { return scores[a] < scores[b]; });
  std::reverse(order.begin(), order.end());
  std::vector<int64_t> kept;
  std::vector<bool> suppressed(n);
  for (const int64_t best : order) {
    if (suppressed[best]) continue;
    kept.push_back(best);
    for (size_t other = 0; other < n; other++)
      if (!(ious[best * n + other] <= iou_threshold)) suppressed[other] = true;
  }
  return kept;
}

std::vector<bool> nms_masks(const std::vector<float>& scores, const MaskBits& masks, float score_threshold,
                            float iou_threshold) {
  std::vector<int64_t> valid;
  std::vector<float> valid_scores;
  for (size_t i = 0; i < scores.size(); i++)
    if (scores[i] > score_threshold) {
      valid.push_back(static_cast<int64_t>(i));
      valid_scores.push_back(scores[i]);
    }
  std::vector<bool> keep(scores.size());
  const MaskBits bits = masks.select(valid);
  for (const int64_t i : generic_nms(mask_iou(bits, bits), valid_scores, iou_threshold)) keep[valid[i]] = true;
  return keep;
}

}  // namespace sam3
