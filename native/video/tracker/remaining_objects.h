#pragma once
#include <cstddef>
#include <cstdint>
#include <set>
#include <vector>

namespace sam3 {

// Scores are computed again, and not to the last bit, where objects are removed: one within this share of the threshold
// counts on both sides of it.
inline constexpr float kScoreDoubt = 1e-4f;

// A frame as any of a bucket's objects may see it once others are removed. The score of some objects is the mean of
// `present` times the mean of `iou` over them (see cal_mem_score).
struct ScoredFrame {
  int64_t frame = 0;
  std::vector<float> present, iou;  // per object
  std::vector<bool> prompted;       // per object, or empty: with one of these left it is no tracked frame
};

struct KeptFrames {
  std::set<int64_t> features, pointers;  // with their memory features, or for their pointers only
};

// All frames among which frame_filter() may choose for any objects that may be left, when tracking goes on with
// `newest` again or with the frame after it. `frames` are in falling order. A choice holds the `most` latest frames
// with a score above `threshold`, those before `newest` counted, and the first `with_features` of them are attended to.
//
// Exact for up to 8 objects. For more it may name frames that are not needed, and it leaves needed ones out only where
// the scores of many objects hover about the threshold for long.
KeptFrames frames_for_remaining(const std::vector<ScoredFrame>& frames, size_t objects, int64_t newest, int64_t most,
                                int64_t with_features, float threshold);

}  // namespace sam3
