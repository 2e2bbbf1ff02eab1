#pragma once
#include <cstdint>
#include <set>
#include <utility>
#include <vector>

namespace sam3 {

// What a frame attends to in SAM 3.1, in the order in which it is put together.
struct MultiplexMemoryPlan {
  // At most, in the reference num_maskmem (conditioning frames are one of them), max_cond_frames_in_attn and
  // max_obj_ptrs_in_encoder.
  static constexpr int64_t kFrames = 7, kConditioning = 4, kPointers = 16;

  std::vector<std::pair<int64_t, int64_t>> frames;    // stored frame, row of the temporal embeddings
  std::vector<std::pair<int64_t, int64_t>> pointers;  // stored frame, offset: over most_pointers - 1 its place in time
  int64_t most_pointers = 0;
};

// `conditioning`: frames with input, in the order in which they were added; `tracked`: the other stored frames.
// `num_frames` -1 = not known. The conditioning frames that are chosen come first (rows by their age, future ones the
// last row), then up to six frames back; conditioning frames that were not chosen count as tracked ones. `exceeds`: see
// select_closest_cond_frames().
// Source: _prepare_memory_conditioned_features of Meta's VideoTrackingMultiplex.
MultiplexMemoryPlan plan_memories(int64_t frame, bool reverse, int64_t num_frames,
                                  const std::vector<int64_t>& conditioning, const std::set<int64_t>& tracked,
                                  bool exceeds = false);

}  // namespace sam3
