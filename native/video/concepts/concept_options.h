#pragma once
#include <cstdint>

namespace sam3 {

// Thresholds of the concept logic, under the names and with the defaults of Meta's Sam3VideoBase and of the released
// model. They hold for each concept of a session by itself.
struct ConceptOptions {
#define SAM3_OPTION(type, name, fallback) type name = fallback;
#include "video/concepts/concept_options.def"
#undef SAM3_OPTION
};

}  // namespace sam3
