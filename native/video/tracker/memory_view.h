#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>
#include <vector>

#include "video/tracker/memory_bank.h"
#include "video/tracker/tracker_options.h"

namespace sam3 {

// What the objects of a bucket attend to on one frame. The order is the reference's; it decides how sums are rounded.
struct MemoryView {
  struct Frame {
    at::Tensor memory;     // [N,G*G,D]
    int64_t distance = 0;  // 1 is the nearest; 0 means a conditioning frame
  };
  struct Pointer {
    at::Tensor pointers;   // [N,C]
    int64_t distance = 0;  // frames, or places in the list of remembered frames; negative for the future
  };
  int64_t objects = 0;
  std::vector<Frame> frames;
  std::vector<Pointer> pointers;
};

// Step 1 of the reference's _prepare_memory_conditioned_features for a frame that is no initial conditioning frame.
// `object`: only this one, as it sees the bank alone. `num_frames` = -1 where it is not known; `memory_frames` is 7 in
// SAM 3. Frames whose memory was never encoded are left out.
MemoryView memory_view(const MemoryBank& bank, int64_t frame, bool reverse, const TrackerOptions& options,
                       int64_t memory_frames, int64_t num_frames, std::optional<int64_t> object = std::nullopt);

// The largest number of pointers: what their distances are relative to.
int64_t most_pointers(const TrackerOptions& options, int64_t num_frames);

}  // namespace sam3
