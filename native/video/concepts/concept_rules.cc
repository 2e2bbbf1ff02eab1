#include "video/concepts/concept_rules.h"

#include <algorithm>

namespace sam3 {

Association Sam3Rules::associate(const ConceptDetections& detections, const MaskBits& masklets,
                                 const std::vector<int64_t>& ids) const {
  Association found = sam3::associate(detections.bits, detections.scores, masklets, ids, options_);
  if (options_.suppress_det_close_to_boundary)
    std::erase_if(found.new_detections, [&](int64_t d) { return !is_inside(detections.boxes[d]); });
  return found;
}

}  // namespace sam3
