#pragma once
#include <vector>

#include "core/cancel.h"
#include "image/image_model.h"
#include "video/concepts/concept_rules.h"
#include "video/concepts/detections.h"

namespace sam3 {

// What the detector finds of each prompt in one frame, given as its features. All prompts run as one batch,
// split by the memory budget; masks are made of the queries above the threshold only. `prompted`: see
// ConceptRules::keep(). Source: Meta's Sam3Image.forward_grounding with joint scores, and
// Sam3VideoBase.run_backbone_and_detection. Throws ERR_INFERENCE, ERR_OUT_OF_MEMORY, ABORT_ERR.
std::vector<ConceptDetections> detect_concepts(ImageModel& model, const Program::Levels& image,
                                               const std::vector<const ConceptPrompt*>& prompts,
                                               const ConceptRules& rules, bool prompted, const CancelProbe& cancel);

}  // namespace sam3
