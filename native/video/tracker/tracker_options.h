#pragma once
#include <cstdint>

namespace sam3 {

// Settings of the tracker, under the names and with the defaults of Meta's Sam3TrackerPredictor as the video model
// builds it.
struct TrackerOptions {
#define SAM3_OPTION(type, name, fallback) type name = fallback;
#include "video/tracker/tracker_options.def"
#undef SAM3_OPTION
};

}  // namespace sam3
