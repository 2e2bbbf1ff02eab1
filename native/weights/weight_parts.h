#pragma once
#include <string_view>

namespace sam3 {

// What a set of weights can answer. Fine-tuning often leaves one part behind.
struct WeightParts {
  bool detector = true;  // texts and exemplar boxes
  bool clicks = true;    // clicks, boxes and masks on one image
  bool video = true;     // the memory that follows objects through a video; there only with `clicks`

  // Throw ERR_NO_DETECTOR or ERR_NO_TRACKER, which say what the weights are good for, where the part is absent.
  void require_detector() const;
  void require_clicks() const;
  void require_video() const;
};

// Which of them needs a parameter of the program.
enum class WeightPart {
  shared,    // the image encoder: all of them
  detector,  // texts and exemplar boxes
  neck,      // the tracker's view of the image, of no use without `clicks`
  clicks,    // prompt encoder and mask decoder
  video,     // memory encoder, memory attention, object pointers
};

WeightPart part_of(std::string_view parameter);

}  // namespace sam3
