#include "video/concepts/association.h"

#include <algorithm>

#include "video/concepts/hungarian.h"

namespace sam3 {
namespace {

constexpr float kHighConfidence = 0.8f, kHighIou = 0.8f;

std::vector<bool> matched_masklets(const std::vector<float>& ious, int64_t detections, int64_t masklets,
                                   const ConceptOptions& options) {
  std::vector<bool> matched(masklets);
  if (options.o2o_matching_masklets_enable) {
    std::vector<double> cost;
    cost.reserve(ious.size());
    for (const float iou : ious) cost.push_back(1.0f - iou);
    for (const auto& [d, t] : assign(cost, detections, masklets))
      if (ious[d * masklets + t] >= options.trk_assoc_iou_thresh) matched[t] = true;
    return matched;
  }
  for (int64_t d = 0; d < detections; d++)
    for (int64_t t = 0; t < masklets; t++)
      if (ious[d * masklets + t] >= options.trk_assoc_iou_thresh) matched[t] = true;
  return matched;
}

}  // namespace

Association associate(const MaskBits& detections, const std::vector<float>& scores, const MaskBits& masklets,
                      const std::vector<int64_t>& ids, const ConceptOptions& options) {
  Association out;
  const int64_t n = detections.count(), m = masklets.count();
  if (m == 0) {  // every detection is new, whatever its score
    for (int64_t d = 0; d < n; d++) out.new_detections.push_back(d);
    return out;
  }
  const std::vector<float> ious = n == 0 ? std::vector<float>{} : mask_iou(detections, masklets);
  const auto matched = matched_masklets(ious, n, m, options);
  for (int64_t t = 0; t < m; t++) {
    if (!masklets.any(t))
      out.empty.push_back(ids[t]);
    else if (!matched[t])
      out.unmatched.push_back(ids[t]);
  }
  for (int64_t d = 0; d < n; d++) {
    const float* iou = &ious[d * m];
    std::vector<int64_t> belongs;
    for (int64_t t = 0; t < m; t++)
      if (iou[t] >= options.assoc_iou_thresh) belongs.push_back(ids[t]);
    const bool is_new = scores[d] >= options.new_det_thresh && belongs.empty();
    if (is_new) out.new_detections.push_back(d);
    out.detection_to_masklets.push_back(std::move(belongs));

    const auto best = std::max_element(iou, iou + m) - iou;
    if (is_new || scores[d] < kHighConfidence || iou[best] < kHighIou) continue;
    // A later detection takes the masklet over, which keeps its place.
    const auto known = std::find_if(out.confident.begin(), out.confident.end(),
                                    [&](const auto& pair) { return pair.first == ids[best]; });
    if (known == out.confident.end())
      out.confident.emplace_back(ids[best], d);
    else
      known->second = d;
  }
  return out;
}

bool is_inside(const std::array<float, 4>& box, float margin) {
  const float x = (box[0] + box[2]) / 2, y = (box[1] + box[3]) / 2;
  const auto far = static_cast<float>(1.0 - margin);
  return x > margin && x < far && y > margin && y < far;
}

std::vector<int64_t> best_detections(const std::vector<int64_t>& detections, const std::vector<float>& scores,
                                     int64_t limit) {
  if (limit >= static_cast<int64_t>(detections.size())) return detections;
  std::vector<int64_t> out = detections;
  std::stable_sort(out.begin(), out.end(), [&](int64_t a, int64_t b) { return scores[a] < scores[b]; });
  std::reverse(out.begin(), out.end());
  out.resize(std::max<int64_t>(limit, 0));
  return out;
}

float box_iou(const std::array<float, 4>& a, const std::array<float, 4>& b) {
  const float area_a = (a[2] - a[0]) * (a[3] - a[1]), area_b = (b[2] - b[0]) * (b[3] - b[1]);
  const float width = std::max(std::min(a[2], b[2]) - std::max(a[0], b[0]), 0.0f);
  const float height = std::max(std::min(a[3], b[3]) - std::max(a[1], b[1]), 0.0f);
  const float both = width * height;
  return both / (area_a + area_b - both);
}

}  // namespace sam3
