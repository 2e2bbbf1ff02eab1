#pragma once
#include <cstdint>
#include <map>
#include <set>
#include <utility>
#include <vector>

#include "video/concepts/association.h"
#include "video/concepts/concept_options.h"

namespace sam3 {

// What is remembered of a concept's masklets to remove false and double ones soon after they appear, and to hide
// those that were not detected for long.
struct HotstartState {
  std::map<int64_t, int64_t> first_frame;                         // id: frame of its first detection
  std::map<int64_t, int64_t> keep_alive;                          // id: up with every match, down with every miss
  std::map<int64_t, int64_t> unmatched_frames;                    // id: number of frames without a detection
  std::map<std::pair<int64_t, int64_t>, int64_t> overlap_frames;  // (earlier id, id): frames with a common detection
  std::set<int64_t> removed;                                      // ids
  std::set<int64_t> clicked;  // ids that the user gave points: never removed nor hidden, and earlier than any other

  void forget(int64_t id);
};

// What SAM 3.1 counts otherwise.
struct HotstartRules {
  // Every two masklets with a common detection count, not each with the earliest one; of a pair only a masklet that
  // appeared strictly later is double.
  bool every_pair = false;
  // Keep-alive goes down for every masklet without a match, whatever the reason, and nothing is hidden by it.
  bool all_misses = false;
};

struct HotstartPlan {
  std::set<int64_t> remove;    // ids that are false or double
  std::set<int64_t> suppress;  // ids that are hidden on this frame, but still tracked
};

// Takes in one frame. Source: Meta's Sam3VideoBase._process_hotstart.
HotstartPlan process_hotstart(HotstartState& state, int64_t frame, bool reverse, const Association& association,
                              const std::vector<int64_t>& new_ids, const ConceptOptions& options,
                              const HotstartRules& rules = {});

}  // namespace sam3
