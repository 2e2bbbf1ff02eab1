#pragma once
#include <array>
#include <cstdint>
#include <utility>
#include <vector>

#include "video/concepts/association.h"
#include "video/concepts/concept_options.h"
#include "video/concepts/detections.h"
#include "video/concepts/hotstart.h"

namespace sam3 {

// What SAM 3 and SAM 3.1 decide differently about the objects of a concept. All that is the same for both stands in
// ConceptState and in what it calls.
class ConceptRules {
 public:
  virtual ~ConceptRules() = default;

  virtual const ConceptOptions& options() const = 0;
  // What stays of the detections above score_threshold_detection, whose masks have these bits. `prompted`: the frame is
  // looked at for its prompt, not in a propagation.
  virtual ConceptDetections keep(std::vector<float> scores, std::vector<std::array<float, 4>> boxes,
                                 const at::Tensor& masks, MaskBits bits, bool prompted) const = 0;
  // Whether frames are detected one ahead, with the prompt of the frame before, and the prompted one only once (see
  // LookAhead).
  virtual bool looks_ahead() const = 0;
  // How the detections of a frame and its masklets belong together, and which detections are new objects.
  virtual Association associate(const ConceptDetections& detections, const MaskBits& masklets,
                                const std::vector<int64_t>& ids) const = 0;
  virtual HotstartRules hotstart() const = 0;
  // Whether a masklet with this logit is so sure of its object that a detection may correct it.
  virtual bool may_recondition(float object_logit) const = 0;
  // Whether the frame itself shows the corrected mask.
  virtual bool shows_reconditioned() const = 0;
  // Whether what hotstart removes is taken out of the results that are held back, and of the frame itself.
  virtual bool hides_removed() const = 0;
  // Whether what hotstart removes counts as occluded on its last frame although it was looked at before.
  virtual bool removed_are_occluded() const = 0;
};

class Sam3Rules final : public ConceptRules {
 public:
  explicit Sam3Rules(const ConceptOptions& options) : options_(options) {}

  const ConceptOptions& options() const override { return options_; }
  ConceptDetections keep(std::vector<float> scores, std::vector<std::array<float, 4>> boxes, const at::Tensor& masks,
                         MaskBits bits, bool) const override {
    return keep_detections(std::move(scores), std::move(boxes), masks, std::move(bits), options_);
  }
  bool looks_ahead() const override { return true; }
  Association associate(const ConceptDetections& detections, const MaskBits& masklets,
                        const std::vector<int64_t>& ids) const override;
  HotstartRules hotstart() const override { return {}; }
  bool may_recondition(float object_logit) const override { return object_logit > 0.8f; }  // the logit, not its sigmoid
  bool shows_reconditioned() const override { return false; }
  bool hides_removed() const override { return true; }
  bool removed_are_occluded() const override { return false; }

 private:
  ConceptOptions options_;
};

}  // namespace sam3
