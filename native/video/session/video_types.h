#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "network/text_cache.h"
#include "video/concepts/concept_options.h"
#include "video/tracker/tracker_options.h"

namespace sam3 {

struct VideoOptions {
  ConceptOptions concepts;
  TrackerOptions tracker;
  bool full_history = false;         // any frame may be prompted again, and propagation may go backward
  int64_t memory_limit = 4ll << 30;  // bytes on the host that a full history may take
  bool bicubic = false;              // resize frames as the reference's tracker does, not as its video model does
  int64_t width = 0, height = 0;     // of the video, pixels
  int64_t num_frames = -1;           // -1 = not known
  bool logits = false;               // results carry low-resolution logits
};

// Calls visit(name, value) for each option of the two tables, under the name that it has there.
template <class Visit>
void for_each_option(VideoOptions& options, Visit visit) {
#define SAM3_OPTION(type, name, fallback) visit(#name, options.concepts.name);
#include "video/concepts/concept_options.def"
#undef SAM3_OPTION
#define SAM3_OPTION(type, name, fallback) visit(#name, options.tracker.name);
#include "video/tracker/tracker_options.def"
#undef SAM3_OPTION
}

struct ConceptPromptSpec {
  TextCache::Ids ids;  // of the text, or of the word "visual" where has_text is false
  bool has_text = true;
  std::vector<float> boxes;     // cx cy w h, 0..1; none or one box
  std::vector<int64_t> labels;  // 1 per box: 1 positive, 0 negative
};

enum class Direction { forward, backward };

// The frames of a propagation, both ends included, in the order they have to be stepped: from `first` up, or down when
// `reverse`, to `last`. Nothing is to be done where `last` lies before `first` in that order.
struct PropagationPlan {
  int64_t first = 0, last = 0;  // last = INT64_MAX where the number of frames is not known
  bool reverse = false;
  bool encodes = true;  // false: the results are there already, no image is needed
  std::string kind;     // full | partial | fetch | clicks
};

}  // namespace sam3
