#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <map>
#include <vector>

namespace sam3 {

// Which earlier frames a frame attends to. Pure functions, under the names of the reference.

struct ConditioningChoice {
  std::vector<int64_t> selected, unselected;  // frames, in the reference's order
};

// At most `most` (-1 = all) of the conditioning frames, which are given in the order in which they were added: the
// closest one before `frame`, the closest one at or after it, then the nearest others (of equally near ones that added
// first). With `keep_first` the earliest one before `frame` (else the latest one after it) comes before all of these;
// if these three are more than `most` (2), all others but the farthest are chosen as well, as the reference happens to
// do. `exceeds` says that there were more than `most` frames once, though fewer are listed: then the order is that of a
// choice even where all are chosen. Source: select_closest_cond_frames.
ConditioningChoice select_closest_cond_frames(int64_t frame, const std::vector<int64_t>& conditioning, int64_t most,
                                              bool keep_first, bool exceeds = false);

// Scores (eff_iou_score) of the tracked frames that have one.
using FrameScores = std::map<int64_t, float>;

// Tracked frames worth remembering at `frame`, in rising order of nearness: the nearest ones with a score above
// `threshold`, at most min(num_frames, most_pointers) - 1, and always the adjacent frame, last, whether it exists or
// not. None at the very first frame in the direction of tracking; frame 0 is never reached going back.
// `num_frames` = -1 where it is not known. Source: frame_filter with r = 1.
std::vector<int64_t> frame_filter(int64_t frame, const FrameScores& scores, bool reverse, int64_t num_frames,
                                  int64_t most_pointers, float threshold);

// Score of a frame for the above: the mean over its objects of (2 * sigmoid(object logit) - 1, or 0 where the logit is
// not positive) times the IoU. `object_logits` [N,1], `iou` [N,1] or [N], float32 on the CPU. As in the reference the
// shape matters: with [N] every logit meets every IoU, which makes a product of means. Source: cal_mem_score.
float cal_mem_score(const at::Tensor& object_logits, const at::Tensor& iou);

}  // namespace sam3
