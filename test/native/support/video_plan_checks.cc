#include "support/video_plan_checks.h"

#include <ATen/ATen.h>
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "support/video_golden.h"

namespace sam3::test {

ConceptDetections crafted_detections(const SafetensorsFile& golden, int64_t frame, const ConceptOptions& options) {
  const std::string key = "crafted_det." + numbered(frame);
  // The reference saw the logits of these scores.
  const at::Tensor scores = at::logit(golden.read(key + ".scores")).sigmoid();
  const at::Tensor boxes = golden.read(key + ".boxes_xyxy"), masks = golden.read(key + ".masks").to(at::kFloat);
  std::vector<float> above;
  std::vector<std::array<float, 4>> corners;
  std::vector<int64_t> rows;
  for (int64_t i = 0; i < scores.size(0); i++) {
    const float score = scores[i].item<float>();
    if (!(score > options.score_threshold_detection)) continue;
    above.push_back(score);
    const auto box = boxes[i];
    corners.push_back({box[0].item<float>(), box[1].item<float>(), box[2].item<float>(), box[3].item<float>()});
    rows.push_back(i);
  }
  return keep_detections(above, corners, masks.index_select(0, at::tensor(at::ArrayRef<int64_t>(rows))), options);
}

std::vector<int64_t> sorted(std::vector<int64_t> ids) {
  std::sort(ids.begin(), ids.end());
  return ids;
}
std::vector<int64_t> listed(const std::set<int64_t>& ids) {
  return {ids.begin(), ids.end()};
}

void check_plan(const FramePlan& plan, const Json& expected) {
  CHECK(plan.masklets == ints(expected.at("trk_obj_ids")));
  const Json& wanted = expected.at("plan");
  CHECK(plan.new_detections == ints(wanted.at("new_det_fa_inds")));
  CHECK(plan.new_ids == ints(wanted.at("new_det_obj_ids")));
  CHECK(plan.association.unmatched == ints(wanted.at("unmatched_trk_obj_ids")));
  const auto& belongs = wanted.at("det_to_matched_trk_obj_ids").as_object("map");
  REQUIRE(plan.association.detection_to_masklets.size() == belongs.size());
  for (const auto& [detection, ids] : belongs)
    CHECK(plan.association.detection_to_masklets[std::stoull(detection)] == ints(ids));
  CHECK(listed(plan.removed) == sorted(ints(wanted.at("obj_ids_newly_removed"))));
  CHECK(plan.dropped == wanted.at("num_obj_dropped_due_to_limit").as_int("dropped"));
  const auto& confident = wanted.at("trk_id_to_max_iou_high_conf_det").as_object("map");
  REQUIRE(plan.association.confident.size() == confident.size());
  for (const auto& [id, detection] : plan.association.confident)
    CHECK(confident.at(std::to_string(id)).as_int("detection") == detection);
  CHECK(listed(plan.shows_detection) == sorted(ints(wanted.at("reconditioned_obj_ids"))));
  CHECK(plan.reconditioned == ints(expected.at("reconditioned_calls")));
  std::vector<int64_t> suppressed;
  try {
    for (const Json& flag : expected.at("to_suppress").as_array("flags")) suppressed.push_back(flag.as_bool("flag"));
  } catch (const JsonError&) {  // null: was not looked at
  }
  CHECK(std::vector<int64_t>(plan.suppressed.begin(), plan.suppressed.end()) == suppressed);
}

void check_metadata(const ConceptMetadata& found, int64_t next_id, const Json& expected, float tolerance) {
  CHECK(found.ids == ints(expected.at("obj_ids")));
  CHECK(next_id - 1 == expected.at("max_obj_id").as_int("id"));
  const auto same = [&](const char* name, const auto& map, const auto& value_of) {
    CAPTURE(name);
    const auto& wanted = expected.at(name).as_object(name);
    REQUIRE(map.size() == wanted.size());
    for (const auto& [id, value] : map) CHECK(std::abs(value - value_of(wanted.at(std::to_string(id)))) <= tolerance);
  };
  const auto whole = [](const Json& v) { return v.as_int("value"); };
  const auto count = [](const Json& v) { return static_cast<int64_t>(v.as_array("frames").size()); };
  same("obj_id_to_score", found.scores, [](const Json& v) { return real(v); });
  same("obj_id_to_last_occluded", found.last_occluded, whole);
  same("obj_first_frame_idx", found.hotstart.first_frame, whole);
  same("trk_keep_alive", found.hotstart.keep_alive, whole);
  same("unmatched_frame_inds", found.hotstart.unmatched_frames, count);
  const auto& overlaps = expected.at("overlap_pair_to_frame_inds").as_object("pairs");
  REQUIRE(found.hotstart.overlap_frames.size() == overlaps.size());
  for (const auto& [pair, frames] : found.hotstart.overlap_frames)
    CHECK(frames == count(overlaps.at(std::to_string(pair.first) + "," + std::to_string(pair.second))));
  CHECK(listed(found.hotstart.removed) == sorted(ints(expected.at("removed_obj_ids"))));
  if (const Json* confirmation = expected.find("masklet_confirmation")) {
    const auto status = ints(confirmation->at("status")), consecutive = ints(confirmation->at("consecutive_det_num"));
    REQUIRE(status.size() == found.ids.size());
    for (size_t i = 0; i < status.size(); i++) {
      const auto& known = found.confirmation.status.at(found.ids[i]);
      CHECK((known.confirmed ? 2 : 1) == status[i]);
      CHECK(known.consecutive == consecutive[i]);
    }
  }
}

}  // namespace sam3::test
