#include "video/concepts/multiplex_rules.h"

#include <algorithm>
#include <cmath>

#include "masks/nms.h"

namespace sam3 {
namespace {

constexpr float kSure = 0.8f;  // of a masklet, a probability

}  // namespace

ConceptDetections keep_detections(std::vector<float> scores, std::vector<std::array<float, 4>> boxes,
                                  const at::Tensor& masks, MaskBits bits, bool prompted,
                                  const MultiplexOptions& options) {
  const ConceptDetections found{std::move(scores), std::move(boxes), masks, std::move(bits)};
  std::vector<bool> keep(found.scores.size(), true);
  // At a prompt the reference divides by the area of the better detection, which it means to be the smaller one.
  const Overlap overlap = !options.det_nms_use_iom ? mask_iou : prompted ? mask_covered : mask_iom;
  if (options.det_nms_thresh > 0)
    keep = nms_masks(found.scores, found.bits, options.score_threshold_detection, options.det_nms_thresh, overlap,
                     prompted ? nms_by_any : stable_nms);
  std::vector<int64_t> kept, at_edge;
  for (size_t i = 0; i < keep.size(); i++) {
    if (!keep[i]) continue;
    const bool inside = !options.suppress_det_close_to_boundary || is_inside(found.boxes[i], options.boundary_margin);
    (inside ? kept : at_edge).push_back(static_cast<int64_t>(i));
  }
  const auto edge = static_cast<int64_t>(at_edge.size());
  kept.insert(kept.end(), at_edge.begin(), at_edge.end());
  ConceptDetections out = found.select(kept);
  out.at_edge = edge;
  return out;
}

Association MultiplexRules::associate(const ConceptDetections& detections, const MaskBits& masklets,
                                      const std::vector<int64_t>& ids) const {
  Association out;
  const auto all = static_cast<int64_t>(detections.scores.size()), n = all - detections.at_edge, m = masklets.count();
  out.detection_to_masklets.resize(n);
  // Where there are no masklets yet, detections at the edge are not left out.
  for (int64_t d = 0; m == 0 && d < all; d++)
    if (detections.scores[d] >= options_.new_det_thresh) out.new_detections.push_back(d);
  if (m == 0) return out;

  const std::vector<float> ioms = all == 0 ? std::vector<float>{} : mask_iom(detections.bits, masklets);
  const auto iom = [&](int64_t d, int64_t t) { return ioms[d * m + t]; };
  const auto count = [&](int64_t many, float threshold, const auto& value) {
    int64_t found = 0;
    for (int64_t i = 0; i < many; i++) found += value(i) >= threshold;
    return found;
  };
  std::vector<bool> shared(m), ambiguous(n);
  for (int64_t t = 0; t < m; t++) {
    const auto with = [&](int64_t d) { return iom(d, t); };
    shared[t] = count(n, options_.iom_thresh_recondition, with) > 1;
    if (!masklets.any(t))
      out.empty.push_back(ids[t]);
    else if (count(n, options_.trk_assoc_iou_thresh, with) == 0)
      out.unmatched.push_back(ids[t]);
  }
  for (int64_t d = 0; d < n; d++) {
    const auto with = [&](int64_t t) { return iom(d, t); };
    ambiguous[d] = count(m, options_.iom_thresh_recondition, with) > 1;
    if (detections.scores[d] >= options_.new_det_thresh && count(m, options_.assoc_iou_thresh, with) == 0)
      out.new_detections.push_back(d);
    for (int64_t t = 0; t < m; t++) {
      if (shared[t] || ambiguous[d]) continue;
      if (with(t) >= options_.assoc_iou_thresh) out.detection_to_masklets[d].push_back(ids[t]);
      if (with(t) >= options_.iom_thresh_recondition && detections.scores[d] >= options_.high_conf_thresh)
        out.confident.emplace_back(ids[t], d);
    }
  }
  return out;
}

bool MultiplexRules::may_recondition(float object_logit) const {
  return 1.0f / (1.0f + std::exp(-object_logit)) > kSure;
}

}  // namespace sam3
