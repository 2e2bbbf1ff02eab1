#pragma once
#include <array>
#include <cstdint>
#include <optional>
#include <vector>

#include "network/text_cache.h"

namespace sam3 {

// What is asked of an image, or of a frame of a video. Boxes x0 y0 x1 y1 and points x y are fractions of the width and
// height; boxes may reach beyond 0..1.

// A concept: a text, exemplar boxes, or both.
struct ConceptPrompt {
  TextCache::Ids ids;           // of the text, or of "visual" where there is none; padded with 0 to the context length
  std::vector<double> boxes;    // 4 per exemplar; a video takes one at most
  std::vector<int64_t> labels;  // 1 per exemplar: 1 positive, 0 negative
  bool has_text = true;         // read in videos only
  // Of images only.
  float threshold = 0.5f;      // kept when score > threshold
  int64_t max_instances = -1;  // best ones only; -1 = all
  bool semantic = false;       // also the concept's semantic map
  bool logits = false;         // also the low-resolution mask logits
};

// One object: points, a box, a mask, or any mix.
struct ClickPrompt {
  std::vector<double> points;                // 2 per point
  std::vector<int64_t> labels;               // 1 per point: 1 foreground, 0 background
  std::optional<std::array<double, 4>> box;  // its corners come before the points
  std::vector<float> mask;                   // (4G)^2 logits of an earlier prediction, or empty; of images only
  // Of videos only.
  bool clear_old_points = true;     // false: to be added to those that the object has on this frame
  bool use_prev_mem_frame = false;  // on a frame that was tracked before: attend to memory all the same
};

}  // namespace sam3
