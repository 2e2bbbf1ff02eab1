#pragma once
#include <array>
#include <cstdint>
#include <utility>
#include <vector>

#include "video/concepts/concept_rules.h"
#include "video/concepts/multiplex_options.h"

namespace sam3 {

// What stays of the detections above score_threshold_detection: all of them in their order, without those that overlap
// with a better one, then those of them that are at an edge. `prompted`: the frame is looked at for its prompt. `masks`
// are [N,4G,4G] float32 logits. Source: Meta's Sam3MultiplexDetector, whose two ways of suppression differ.
ConceptDetections keep_detections(std::vector<float> scores, std::vector<std::array<float, 4>> boxes,
                                  const at::Tensor& masks, MaskBits bits, bool prompted,
                                  const MultiplexOptions& options);

// SAM 3.1. Source: Meta's Sam3MultiplexBase (association, hotstart, planning). Of its keep-alive counts nothing comes.
class MultiplexRules final : public ConceptRules {
 public:
  explicit MultiplexRules(const MultiplexOptions& options) : options_(options) {}

  const ConceptOptions& options() const override { return options_; }
  ConceptDetections keep(std::vector<float> scores, std::vector<std::array<float, 4>> boxes, const at::Tensor& masks,
                         MaskBits bits, bool prompted) const override {
    return keep_detections(std::move(scores), std::move(boxes), masks, std::move(bits), prompted, options_);
  }
  bool looks_ahead() const override { return false; }
  // By IoM. Masklets that share a detection with others, and detections that share a masklet, belong to none.
  Association associate(const ConceptDetections& detections, const MaskBits& masklets,
                        const std::vector<int64_t>& ids) const override;
  HotstartRules hotstart() const override { return {/*every_pair=*/true, /*all_misses=*/true}; }
  bool may_recondition(float object_logit) const override;
  bool shows_reconditioned() const override { return true; }
  bool hides_removed() const override { return false; }
  bool removed_are_occluded() const override { return true; }

 private:
  MultiplexOptions options_;
};

}  // namespace sam3
