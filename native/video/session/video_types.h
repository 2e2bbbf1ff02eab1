#pragma once
#include <cstdint>
#include <optional>
#include <vector>

#include "video/concepts/multiplex_options.h"
#include "video/tracker/tracker_options.h"

namespace sam3 {

struct VideoOptions {
  MultiplexOptions concepts{ConceptOptions{}};  // with the defaults of SAM 3
  TrackerOptions tracker;
  bool full_history = false;         // any frame may be prompted again, and propagation may go backward
  int64_t memory_limit = 4ll << 30;  // bytes on the host that a full history may take
  bool bicubic = false;              // resize frames as the reference's tracker does, not as its video model does
  int64_t width = 0, height = 0;     // of the video, pixels
  int64_t num_frames = -1;           // -1 = not known
  bool logits = false;               // results carry low-resolution logits

  // With the defaults of SAM 3.1.
  static VideoOptions of_multiplex() {
    VideoOptions options;
    options.concepts = MultiplexOptions{};
    return options;
  }
};

// Calls visit(name, value) for each option of the three tables, under the name that it has there.
template <class Visit>
void for_each_option(VideoOptions& options, Visit visit) {
#define SAM3_OPTION(type, name, fallback) visit(#name, options.concepts.name);
#include "video/concepts/concept_options.def"
#undef SAM3_OPTION
#define SAM3_DEFAULT(name, fallback)
#define SAM3_OPTION(type, name, fallback) visit(#name, options.concepts.name);
#include "video/concepts/multiplex_options.def"
#undef SAM3_OPTION
#undef SAM3_DEFAULT
#define SAM3_OPTION(type, name, fallback) visit(#name, options.tracker.name);
#include "video/tracker/tracker_options.def"
#undef SAM3_OPTION
}

enum class Direction { forward, backward };

// How the frames of a propagation get their results.
enum class PropagationKind {
  full,     // detected, tracked and associated
  partial,  // only the objects that were clicked are tracked, the others keep what was found
  fetch,    // nothing is computed, what was found is shown again
};

// The frames of a propagation, both ends included, in the order they have to be stepped: from `first` up, or down when
// `reverse`, to `last`. Nothing is to be done where `last` lies before `first` in that order.
struct PropagationPlan {
  int64_t first = 0, last = 0;  // last = INT64_MAX where the number of frames is not known
  bool reverse = false;
  bool encodes = true;                  // false: the results are there already, no image is needed
  std::optional<PropagationKind> kind;  // of the concepts: the one that computes most; none where there are only clicks
  std::vector<int64_t> held;            // where it encodes: frames of it whose images need not be sent
};

}  // namespace sam3
