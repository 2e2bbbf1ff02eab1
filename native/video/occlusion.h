#pragma once
#include <cstdint>
#include <vector>

#include "video/mask_bits.h"

namespace sam3 {

constexpr int64_t kNeverOccluded = -1;
constexpr int64_t kAlwaysOccluded = 100000;  // removed by hotstart before it was ever looked at; later than any frame

// Of two masks with IoU >= threshold, the one that was occluded more recently (reverse: less recently) is suppressed if
// the other was ever occluded. Source: Meta's _get_objects_to_suppress_based_on_most_recently_occluded.
std::vector<bool> recently_occluded(const MaskBits& masks, const std::vector<int64_t>& last_occluded, float threshold,
                                    bool reverse);

}  // namespace sam3
