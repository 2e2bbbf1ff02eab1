#include "video/tracker/slot_assignment.h"

#include <algorithm>

namespace sam3 {

int64_t SlotAssignment::free() const {
  int64_t count = 0;
  for (const auto& bucket : buckets_) count += std::count(bucket.begin(), bucket.end(), kEmpty);
  return count;
}

std::vector<int64_t> SlotAssignment::places() const {
  std::vector<int64_t> out(ids_.size());
  for (int64_t b = 0; b < buckets(); b++)
    for (int64_t s = 0; s < slots_; s++)
      if (const int64_t object = buckets_[b][s]; object >= 0) out[object] = b * slots_ + s;
  return out;
}

void SlotAssignment::add(const std::vector<int64_t>& ids) {
  auto next = ids.begin();
  const auto fill = [&](std::vector<int64_t>& bucket) {
    for (int64_t& slot : bucket) {
      if (slot != kEmpty || next == ids.end()) continue;
      slot = static_cast<int64_t>(ids_.size());
      ids_.push_back(*next++);
    }
  };
  for (auto& bucket : buckets_) fill(bucket);
  while (next != ids.end()) fill(buckets_.emplace_back(slots_, kEmpty));
}

std::vector<int64_t> SlotAssignment::remove(const std::vector<int64_t>& ids) {
  const std::vector<int64_t> before = ids_;
  std::erase_if(ids_, [&](int64_t id) { return std::find(ids.begin(), ids.end(), id) != ids.end(); });
  std::vector<std::vector<int64_t>> kept;
  std::vector<int64_t> numbers;
  for (int64_t b = 0; b < buckets(); b++) {
    std::vector<int64_t>& bucket = buckets_[b];
    for (int64_t& slot : bucket) {
      if (slot < 0) continue;
      const auto place = std::find(ids_.begin(), ids_.end(), before[slot]);
      slot = place == ids_.end() ? kLeft : place - ids_.begin();
    }
    if (std::all_of(bucket.begin(), bucket.end(), [](int64_t slot) { return slot < 0; })) continue;
    kept.push_back(std::move(bucket));
    numbers.push_back(b);
  }
  buckets_ = std::move(kept);
  return numbers;
}

std::optional<size_t> state_for(const std::vector<SlotAssignment>& states, int64_t count) {
  std::optional<size_t> best;
  for (size_t i = 0; i < states.size(); i++)
    if (states[i].free() >= count && (!best || states[i].free() < states[*best].free())) best = i;
  return best;
}

}  // namespace sam3
