#include "video/tracker/multiplex_memory.h"

#include <algorithm>
#include <cstdlib>

#include "video/tracker/memory_selection.h"

namespace sam3 {
namespace {

constexpr int64_t kFrames = MultiplexMemoryPlan::kFrames, kConditioning = MultiplexMemoryPlan::kConditioning,
                  kPointers = MultiplexMemoryPlan::kPointers;

}  // namespace
MultiplexMemoryPlan plan_memories(int64_t frame, bool reverse, int64_t num_frames,
                                  const std::vector<int64_t>& conditioning, const std::set<int64_t>& tracked,
                                  bool exceeds) {
  const ConditioningChoice choice =
      select_closest_cond_frames(frame, conditioning, kConditioning, /*keep_first=*/false, exceeds);
  std::set<int64_t> others = tracked;
  others.insert(choice.unselected.begin(), choice.unselected.end());
  const auto back = [&](int64_t steps) { return reverse ? frame + steps : frame - steps; };

  MultiplexMemoryPlan plan;
  plan.most_pointers = num_frames < 0 ? kPointers : std::min(num_frames, kPointers);
  for (const int64_t t : choice.selected) {
    const int64_t age = reverse ? t - frame : frame - t, last = kFrames - 1;
    plan.frames.emplace_back(t, age >= 1 && age <= last ? last - age : last);
    plan.pointers.emplace_back(t, std::llabs(frame - t));
  }
  for (int64_t steps = kFrames - 1; steps >= 1; steps--)
    if (others.contains(back(steps))) plan.frames.emplace_back(back(steps), steps - 1);
  for (int64_t steps = 1; steps < plan.most_pointers; steps++)
    if (others.contains(back(steps))) plan.pointers.emplace_back(back(steps), steps);
  return plan;
}

}  // namespace sam3
