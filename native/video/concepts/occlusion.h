#pragma once
#include <cstdint>
#include <vector>

#include "masks/mask_bits.h"

namespace sam3 {

constexpr int64_t kNeverOccluded = -1;
// Removed by hotstart before it was ever looked at: later than any frame (100000 in the reference, which streams pass).
constexpr int64_t kAlwaysOccluded = INT64_MAX;

// Of two masks with IoU >= threshold, the one that was occluded more recently (reverse: less recently) is suppressed if
// the other was ever occluded. Source: Meta's _get_objects_to_suppress_based_on_most_recently_occluded.
std::vector<bool> recently_occluded(const MaskBits& masks, const std::vector<int64_t>& last_occluded, float threshold,
                                    bool reverse);

}  // namespace sam3
