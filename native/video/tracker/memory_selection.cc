#include "video/tracker/memory_selection.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cstdlib>
#include <iterator>
#include <optional>

namespace sam3 {

ConditioningChoice select_closest_cond_frames(int64_t frame, const std::vector<int64_t>& conditioning, int64_t most,
                                              bool keep_first, bool exceeds) {
  const auto count = static_cast<int64_t>(conditioning.size());
  if (most == -1 || (count <= most && !exceeds)) return {conditioning, {}};

  std::optional<int64_t> before, after, earliest, latest;
  for (const int64_t t : conditioning) {
    if (t < frame) {
      before = std::max(before.value_or(t), t);
      earliest = std::min(earliest.value_or(t), t);
    } else {
      after = std::min(after.value_or(t), t);
      if (t > frame) latest = std::max(latest.value_or(t), t);
    }
  }
  ConditioningChoice choice;
  const auto chosen = [&](int64_t t) {
    return std::find(choice.selected.begin(), choice.selected.end(), t) != choice.selected.end();
  };
  const auto choose = [&](std::optional<int64_t> t) {
    if (t && !chosen(*t)) choice.selected.push_back(*t);
  };
  if (keep_first) choose(earliest ? earliest : latest);
  choose(before);
  choose(after);

  std::vector<int64_t> others;
  std::copy_if(conditioning.begin(), conditioning.end(), std::back_inserter(others),
               [&](int64_t t) { return !chosen(t); });
  std::stable_sort(others.begin(), others.end(),
                   [&](int64_t a, int64_t b) { return std::llabs(a - frame) < std::llabs(b - frame); });
  // Where `keep_first` has made more than `most` already, the reference's slice [:most - chosen] counts from the end.
  const auto left = static_cast<int64_t>(others.size()), room = most - static_cast<int64_t>(choice.selected.size());
  others.resize(static_cast<size_t>(room < 0 ? std::max<int64_t>(left + room, 0) : std::min(left, room)));
  choice.selected.insert(choice.selected.end(), others.begin(), others.end());
  std::copy_if(conditioning.begin(), conditioning.end(), std::back_inserter(choice.unselected),
               [&](int64_t t) { return !chosen(t); });
  return choice;
}

std::vector<int64_t> frame_filter(int64_t frame, const FrameScores& scores, bool reverse, int64_t num_frames,
                                  int64_t most_pointers, float threshold) {
  if (reverse ? frame == num_frames - 1 : frame == 0) return {};
  const int64_t most = (num_frames < 0 ? most_pointers : std::min(num_frames, most_pointers)) - 1;
  std::vector<int64_t> valid;  // nearest first
  const auto add = [&](const auto& entry) {
    if (entry.second > threshold) valid.push_back(entry.first);
    return static_cast<int64_t>(valid.size()) < most;
  };
  if (reverse) {
    for (auto it = scores.upper_bound(frame); it != scores.end() && (num_frames < 0 || it->first < num_frames); ++it)
      if (!add(*it)) break;
  } else {
    for (auto it = std::make_reverse_iterator(scores.lower_bound(frame)); it != scores.rend() && it->first > 0; ++it)
      if (!add(*it)) break;
  }
  std::reverse(valid.begin(), valid.end());
  const int64_t adjacent = reverse ? frame + 1 : frame - 1;
  if (valid.empty() || valid.back() != adjacent) valid.push_back(adjacent);
  return valid;
}

float cal_mem_score(const at::Tensor& object_logits, const at::Tensor& iou) {
  const at::Tensor present =
      at::where(object_logits > 0, object_logits.sigmoid() * 2 - 1, at::zeros_like(object_logits));
  return (present * iou).mean().item<float>();
}

}  // namespace sam3
