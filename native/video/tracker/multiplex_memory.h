#pragma once
#include <cstdint>
#include <set>
#include <utility>
#include <vector>

namespace sam3 {

// What a frame attends to in SAM 3.1, in the order in which it is put together.
struct MultiplexMemoryPlan {
  std::vector<std::pair<int64_t, int64_t>> frames;    // stored frame, row of the temporal embeddings
  std::vector<std::pair<int64_t, int64_t>> pointers;  // stored frame, offset: over most_pointers - 1 its place in time
  int64_t most_pointers = 0;
};

// `conditioning`: frames with input, in the order in which they were added; `tracked`: the other stored frames.
// `num_frames` -1 = not known. The conditioning frames that are chosen come first (rows by their age, future ones the
// last row), then up to six frames back; conditioning frames that were not chosen count as tracked ones.
// Source: _prepare_memory_conditioned_features of Meta's VideoTrackingMultiplex.
MultiplexMemoryPlan plan_memories(int64_t frame, bool reverse, int64_t num_frames,
                                  const std::vector<int64_t>& conditioning, const std::set<int64_t>& tracked);

}  // namespace sam3
