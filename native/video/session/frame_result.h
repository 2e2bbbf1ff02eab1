#pragma once
#include <array>
#include <cstdint>
#include <vector>

#include "masks/mask_runs.h"

namespace sam3 {

struct TrackedObject {
  int64_t id = 0;
  int64_t concept_index = -1;    // -1: found by clicks or a mask
  float score = 0;               // first detection score; 1 once clicked; without concepts sigmoid(object logit)
  float tracker_score = 0;       // probability by the tracker on this frame
  std::array<int32_t, 4> box{};  // x0 y0 x1 y1 in pixels, exclusive, of the mask before exclusivity
  MaskRuns mask;                 // at the size of the video
  float object_logit = 0;
  std::vector<float> logits;  // [4G,4G] when asked
};

struct FrameResult {
  int64_t frame = 0;
  std::vector<TrackedObject> objects;  // by id
  int64_t tracked = 0, dropped = 0;    // objects alive, and detections over the limit, over all concepts
};

}  // namespace sam3
