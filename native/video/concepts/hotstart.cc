#include "video/concepts/hotstart.h"

#include <algorithm>

namespace sam3 {
namespace {

// Whether masklet `a` appeared before `b` in the direction of tracking. Clicked ones are earlier than any other.
bool appeared_before(const HotstartState& state, int64_t a, int64_t b, bool reverse) {
  const auto appeared = [&](int64_t id) {
    const auto known = state.first_frame.find(id);
    const bool before_all = state.clicked.contains(id) || known == state.first_frame.end();
    if (before_all) return INT64_MIN;
    return reverse ? -known->second : known->second;
  };
  return appeared(a) < appeared(b);
}

// Of equals the first in the list.
int64_t earliest(const HotstartState& state, const std::vector<int64_t>& ids, bool reverse) {
  return *std::min_element(ids.begin(), ids.end(),
                           [&](int64_t a, int64_t b) { return appeared_before(state, a, b, reverse); });
}

void count_overlaps(HotstartState& state, const std::vector<int64_t>& ids, bool reverse, const HotstartRules& rules) {
  if (rules.every_pair) {
    for (size_t i = 0; i < ids.size(); i++)
      for (size_t j = i + 1; j < ids.size(); j++) state.overlap_frames[{ids[i], ids[j]}]++;
  } else if (ids.size() > 1) {
    const int64_t first = earliest(state, ids, reverse);
    for (const int64_t id : ids)
      if (id != first) state.overlap_frames[{first, id}]++;
  }
}

void count_matches(HotstartState& state, const Association& association, const std::vector<int64_t>& new_ids,
                   const ConceptOptions& options, const HotstartRules& rules) {
  std::set<int64_t> matched;
  for (const auto& ids : association.detection_to_masklets) matched.insert(ids.begin(), ids.end());
  const auto miss = [&](int64_t id) {
    state.keep_alive[id] = std::max(options.min_trk_keep_alive, state.keep_alive[id] - 1);
  };
  for (const int64_t id : matched)
    state.keep_alive[id] = std::min(options.max_trk_keep_alive, state.keep_alive[id] + 1);
  for (const int64_t id : association.unmatched) {
    state.unmatched_frames[id]++;
    if (!rules.all_misses) miss(id);
  }
  if (options.decrease_trk_keep_alive_for_empty_masklets && !rules.all_misses)
    for (const int64_t id : association.empty) miss(id);
  if (rules.all_misses)
    for (const auto& [id, alive] : state.keep_alive)
      if (!matched.contains(id) && std::find(new_ids.begin(), new_ids.end(), id) == new_ids.end()) miss(id);
}

}  // namespace

void HotstartState::forget(int64_t id) {
  first_frame.erase(id);
  keep_alive.erase(id);
  unmatched_frames.erase(id);
  removed.erase(id);
  clicked.erase(id);
  std::erase_if(overlap_frames, [&](const auto& item) { return item.first.first == id || item.first.second == id; });
}

HotstartPlan process_hotstart(HotstartState& state, int64_t frame, bool reverse, const Association& association,
                              const std::vector<int64_t>& new_ids, const ConceptOptions& options,
                              const HotstartRules& rules) {
  for (const int64_t id : new_ids) {
    state.first_frame.emplace(id, frame);
    state.keep_alive[id] = options.init_trk_keep_alive;
  }
  count_matches(state, association, new_ids, options, rules);

  HotstartPlan plan;
  std::set<int64_t>& remove = plan.remove;
  const auto gone = [&](int64_t id) { return state.removed.contains(id) || remove.contains(id); };
  const int64_t oldest = reverse ? frame + options.hotstart_delay : frame - options.hotstart_delay;
  const auto is_recent = [&](int64_t id) {
    if (state.clicked.contains(id)) return false;
    const int64_t first = state.first_frame.at(id);
    return reverse ? first < oldest : first > oldest;
  };

  for (const auto& [id, frames] : state.unmatched_frames) {
    if (gone(id)) continue;
    if (frames >= options.hotstart_unmatch_thresh && is_recent(id)) remove.insert(id);
    if (!rules.all_misses && !options.suppress_unmatched_only_within_hotstart && state.keep_alive[id] <= 0 &&
        !gone(id) && !state.clicked.contains(id))
      plan.suppress.insert(id);
  }

  for (const auto& ids : association.detection_to_masklets) count_overlaps(state, ids, reverse, rules);
  for (const auto& [pair, frames] : state.overlap_frames) {
    const auto& [first, id] = pair;
    if (gone(id) || frames < options.hotstart_dup_thresh || !is_recent(id)) continue;
    if (rules.every_pair && !appeared_before(state, first, id, reverse)) continue;
    remove.insert(id);
  }

  state.removed.insert(remove.begin(), remove.end());
  return plan;
}

}  // namespace sam3
