#pragma once
#include "video/concepts/concept_options.h"

namespace sam3 {

// ConceptOptions with the defaults of SAM 3.1, and what only it has.
struct MultiplexOptions : ConceptOptions {
#define SAM3_DEFAULT(name, fallback)
#define SAM3_OPTION(type, name, fallback) type name = fallback;
#include "video/concepts/multiplex_options.def"
#undef SAM3_OPTION
#undef SAM3_DEFAULT

  // Those of SAM 3, for which the others mean nothing.
  MultiplexOptions(const ConceptOptions& concepts) : ConceptOptions(concepts) {}
  MultiplexOptions() {
#define SAM3_DEFAULT(name, fallback) name = fallback;
#define SAM3_OPTION(type, name, fallback)
#include "video/concepts/multiplex_options.def"
#undef SAM3_OPTION
#undef SAM3_DEFAULT
  }
};

}  // namespace sam3
