#pragma once
#include <array>
#include <cstdint>
#include <utility>
#include <vector>

#include "masks/mask_bits.h"
#include "video/concepts/concept_options.h"

namespace sam3 {

// How the detections of a frame and the propagated masklets belong together.
struct Association {
  std::vector<int64_t> new_detections;                      // detections without a masklet, by index
  std::vector<int64_t> unmatched;                           // ids of masklets with a mask, but no detection
  std::vector<int64_t> empty;                               // ids of masklets without a mask
  std::vector<std::vector<int64_t>> detection_to_masklets;  // per detection the ids that it belongs to; empty where
                                                            // the frame has no masklets
  // Masklets with a confident detection on the same place, and that detection, in the order they were found.
  std::vector<std::pair<int64_t, int64_t>> confident;
};

// Source: Meta's Sam3VideoBase._associate_det_trk. `ids` are those of the masklets.
Association associate(const MaskBits& detections, const std::vector<float>& scores, const MaskBits& masklets,
                      const std::vector<int64_t>& ids, const ConceptOptions& options);

// Whether the centre of a box x0 y0 x1 y1, 0..1, is further than `margin` from every edge of the image.
bool is_inside(const std::array<float, 4>& box, float margin = 0.025f);

// The best `limit` of the detections, best first; in their own order where all may stay.
std::vector<int64_t> best_detections(const std::vector<int64_t>& detections, const std::vector<float>& scores,
                                     int64_t limit);

// Intersection over union of two boxes x0 y0 x1 y1.
float box_iou(const std::array<float, 4>& a, const std::array<float, 4>& b);

}  // namespace sam3
