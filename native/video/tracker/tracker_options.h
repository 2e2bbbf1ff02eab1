#pragma once
#include <cstdint>

namespace sam3 {

// Settings of the tracker, under the names and with the defaults of Meta's Sam3TrackerPredictor as the video model
// builds it.
struct TrackerOptions {
  int64_t max_cond_frames_in_attn = 4;  // -1 = all
  bool keep_first_cond_frame = false;
  int64_t max_obj_ptrs_in_encoder = 16;
  bool use_memory_selection = true;
  float mf_threshold = 0.01f;                // of the memory selection
  int64_t max_point_num_in_prompt_enc = 16;  // the first and the last half of more points are used
};

}  // namespace sam3
