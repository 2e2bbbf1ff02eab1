#include "weights/weight_parts.h"

#include <array>
#include <utility>

#include "core/error.h"

namespace sam3 {
namespace {

// By the first match. The names are those of scripts/export/program.py.
constexpr std::array<std::pair<std::string_view, WeightPart>, 16> kModules{{
    {"detector_neck.", WeightPart::detector},
    {"text_encoder.", WeightPart::detector},
    {"geometry_encoder.", WeightPart::detector},
    {"detr_encoder.", WeightPart::detector},
    {"detr_decoder.", WeightPart::detector},
    {"scoring.", WeightPart::detector},
    {"mask_decoder.", WeightPart::detector},
    {"tracker_neck.", WeightPart::neck},
    {"prompt_encoder.", WeightPart::clicks},
    {"sam_mask_decoder.", WeightPart::clicks},
    {"memory_attention.no_memory_embed", WeightPart::clicks},  // added to an image that nothing is remembered of
    {"memory_attention.", WeightPart::video},
    {"memory_encoder.", WeightPart::video},
    {"object_pointers.", WeightPart::video},
    {"propagation_neck.", WeightPart::video},
    {"propagation_decoder.", WeightPart::video},
}};

}  // namespace

WeightPart part_of(std::string_view parameter) {
  for (const auto& [prefix, part] : kModules)
    if (parameter.starts_with(prefix)) return part;
  return WeightPart::shared;
}

void WeightParts::require_detector() const {
  if (detector) return;
  throw Error(
      ERR_NO_DETECTOR, "These weights have no detector: they are those of a tracker alone, which answers clicks.",
      "Give weights with the detector, such as facebook/sam3 or your Sam3Model, to ask for texts and exemplar boxes.");
}

void WeightParts::require_clicks() const {
  if (clicks) return;
  throw Error(ERR_NO_TRACKER,
              "These weights have no tracker: they are those of the image model alone, which answers texts and "
              "exemplar boxes.",
              "Give weights with the tracker, such as facebook/sam3, for clicks and videos.");
}

void WeightParts::require_video() const {
  require_clicks();
  if (video) return;
  throw Error(ERR_NO_TRACKER,
              "These weights have no memory for videos: they are those of a Sam3TrackerModel, which answers clicks on "
              "one image.",
              "Give weights with the whole tracker, such as facebook/sam3 or a Sam3TrackerVideoModel.");
}

}  // namespace sam3
