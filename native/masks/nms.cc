#include "masks/nms.h"

#include <algorithm>
#include <numeric>

namespace sam3 {

namespace {

using Order = std::vector<int64_t>;

// By falling score, of equal ones the first index first.
Order best_first(const std::vector<float>& scores) {
  Order order(scores.size());
  std::iota(order.begin(), order.end(), int64_t{0});
  std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) { return scores[a] > scores[b]; });
  return order;
}

// By falling score, of equal ones the last index first.
Order best_first_of_last(const std::vector<float>& scores) {
  Order order(scores.size());
  std::iota(order.begin(), order.end(), int64_t{0});
  std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) { return scores[a] < scores[b]; });
  std::reverse(order.begin(), order.end());
  return order;
}

std::vector<int64_t> greedy(const Order& order, const std::vector<float>& overlaps, float threshold) {
  const size_t n = order.size();
  std::vector<int64_t> kept;
  std::vector<bool> suppressed(n);
  for (const int64_t best : order) {
    if (suppressed[best]) continue;
    kept.push_back(best);
    for (size_t other = 0; other < n; other++)
      if (!(overlaps[best * n + other] <= threshold)) suppressed[other] = true;
  }
  return kept;
}

}  // namespace

std::vector<int64_t> generic_nms(const std::vector<float>& ious, const std::vector<float>& scores,
                                 float iou_threshold) {
  return greedy(best_first_of_last(scores), ious, iou_threshold);
}

std::vector<int64_t> stable_nms(const std::vector<float>& overlaps, const std::vector<float>& scores, float threshold) {
  return greedy(best_first(scores), overlaps, threshold);
}

std::vector<int64_t> nms_by_any(const std::vector<float>& overlaps, const std::vector<float>& scores, float threshold) {
  const size_t n = scores.size();
  const Order order = best_first(scores);
  std::vector<int64_t> kept;
  for (size_t i = 0; i < n; i++) {
    const auto covers = [&](int64_t better) { return overlaps[better * n + order[i]] > threshold; };
    if (std::none_of(order.begin(), order.begin() + static_cast<int64_t>(i), covers)) kept.push_back(order[i]);
  }
  return kept;
}

std::vector<bool> nms_masks(const std::vector<float>& scores, const MaskBits& masks, float score_threshold,
                            float overlap_threshold, Overlap overlap, Nms nms) {
  std::vector<int64_t> valid;
  std::vector<float> valid_scores;
  for (size_t i = 0; i < scores.size(); i++)
    if (scores[i] > score_threshold) {
      valid.push_back(static_cast<int64_t>(i));
      valid_scores.push_back(scores[i]);
    }
  std::vector<bool> keep(scores.size());
  const MaskBits bits = masks.select(valid);
  for (const int64_t i : nms(overlap(bits, bits), valid_scores, overlap_threshold)) keep[valid[i]] = true;
  return keep;
}

}  // namespace sam3
