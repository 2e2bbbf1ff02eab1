#include "video/concepts/detections.h"

#include "core/host_values.h"
#include "masks/nms.h"

namespace sam3 {

ConceptDetections ConceptDetections::select(const std::vector<int64_t>& wanted) const {
  ConceptDetections out;
  for (const int64_t i : wanted) {
    out.scores.push_back(scores[i]);
    out.boxes.push_back(boxes[i]);
  }
  out.masks = masks.index_select(0, index_tensor(wanted, masks.device()));
  out.bits = bits.select(wanted);
  return out;
}

ConceptDetections keep_detections(std::vector<float> scores, std::vector<std::array<float, 4>> boxes,
                                  const at::Tensor& masks, const ConceptOptions& options) {
  return keep_detections(std::move(scores), std::move(boxes), masks, MaskBits::above_zero(masks), options);
}

ConceptDetections keep_detections(std::vector<float> scores, std::vector<std::array<float, 4>> boxes,
                                  const at::Tensor& masks, MaskBits bits, const ConceptOptions& options) {
  ConceptDetections found{std::move(scores), std::move(boxes), masks, std::move(bits)};
  if (options.det_nms_thresh <= 0) return found;
  const auto keep = nms_masks(found.scores, found.bits, options.score_threshold_detection, options.det_nms_thresh);
  std::vector<int64_t> kept;
  for (size_t i = 0; i < keep.size(); i++)
    if (keep[i]) kept.push_back(static_cast<int64_t>(i));
  return kept.size() == keep.size() ? found : found.select(kept);
}

}  // namespace sam3
