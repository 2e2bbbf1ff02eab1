#pragma once
#include <ATen/core/Tensor.h>

#include <array>
#include <vector>

#include "masks/mask_bits.h"
#include "video/concepts/concept_options.h"

namespace sam3 {

// Detections of one concept on one frame, after suppression and threshold, in the order of the network's queries.
struct ConceptDetections {
  std::vector<float> scores;
  std::vector<std::array<float, 4>> boxes;  // x0 y0 x1 y1, 0..1
  at::Tensor masks;                         // [K,4G,4G] float32 logits on the device
  MaskBits bits;                            // of the masks
  int64_t at_edge = 0;  // how many of them, the last, are too near an edge to belong to a masklet (SAM 3.1)

  // These of them, in this order.
  ConceptDetections select(const std::vector<int64_t>& wanted) const;
};

// What stays of the detections above score_threshold_detection: all of them in their order, without those that overlap
// with a better one. `masks` are [N,4G,4G] float32 logits.
// Source: Meta's run_backbone_and_detection and nms_masks.
ConceptDetections keep_detections(std::vector<float> scores, std::vector<std::array<float, 4>> boxes,
                                  const at::Tensor& masks, const ConceptOptions& options);
// The same, where the bits of the masks are there already.
ConceptDetections keep_detections(std::vector<float> scores, std::vector<std::array<float, 4>> boxes,
                                  const at::Tensor& masks, MaskBits bits, const ConceptOptions& options);

}  // namespace sam3
