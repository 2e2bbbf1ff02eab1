#pragma once
#include <cstdint>
#include <set>
#include <vector>

#include "video/concepts/concept_state.h"
#include "weights/json.h"
#include "weights/safetensors.h"

namespace sam3::test {

// What the recorded runs gave the concept logic instead of the detector's answer.
ConceptDetections crafted_detections(const SafetensorsFile& golden, int64_t frame, const ConceptOptions& options);

// A frame's decisions and what is remembered after it, against an entry of a recorded run's "internals". Scores may
// differ by `tolerance`, nothing else.
void check_plan(const FramePlan& plan, const Json& expected);
void check_metadata(const ConceptMetadata& found, int64_t next_id, const Json& expected, float tolerance);

std::vector<int64_t> sorted(std::vector<int64_t> ids);
std::vector<int64_t> listed(const std::set<int64_t>& ids);

}  // namespace sam3::test
