// The single functions of SAM 3.1's video logic against those of the reference, exactly: cases/heuristics.json of its
// set. Its action_history is in multiplex_logic_test.cc. Left out: which of its keep-alive counts would hide an object
// (they hide none), and how many points ask for several masks, which no function of its own decides.
#include <ATen/ATen.h>
#include <doctest/doctest.h>

#include <algorithm>

#include "masks/mask_ops.h"
#include "masks/mask_overlap.h"
#include "masks/nms.h"
#include "support/golden.h"
#include "support/video_golden.h"
#include "video/concepts/confirmation.h"
#include "video/concepts/multiplex_rules.h"
#include "video/concepts/occlusion.h"
#include "video/tracker/memory_selection.h"
#include "video/tracker/multiplex_memory.h"
#include "video/tracker/slot_assignment.h"

using namespace sam3;
using namespace sam3::test;

namespace {

const Json& function_of(const std::string& name) {
  static const Json all = multiplex_golden().cases("heuristics");
  return all.at(name);
}

const Json::Array& cases(const std::string& function) {
  const auto& found = function_of(function).as_array("cases");
  REQUIRE(!found.empty());
  return found;
}

std::vector<bool> flags(const Json& array) {
  std::vector<bool> out;
  for (const Json& flag : array.as_array("flags")) out.push_back(flag.as_bool("flag"));
  return out;
}

// Square masks as hexadecimal digits of their packed bits.
MaskBits masks_of(const Json& one, const char* name) {
  const int64_t side = one.at("h").as_int("h");
  const auto& list = one.at(name).as_array("masks");
  MaskBits out(static_cast<int64_t>(list.size()), side, side);
  for (size_t i = 0; i < list.size(); i++) {
    const std::string& digits = list[i].as_string("mask");
    for (int64_t at = 0; at < side * side; at++)
      if (std::stoi(digits.substr(at / 4, 1), nullptr, 16) >> (3 - at % 4) & 1)
        out.fill(static_cast<int64_t>(i), at / side, at % side, at % side + 1, true);
  }
  return out;
}

at::Tensor pixels_of(const MaskBits& masks) {
  at::Tensor out = at::zeros({masks.count(), masks.height(), masks.width()});
  for (int64_t i = 0; i < masks.count(); i++)
    for (int64_t y = 0; y < masks.height(); y++)
      for (int64_t x = 0; x < masks.width(); x++) out[i][y][x] = masks.get(i, y, x) ? 1.0f : 0.0f;
  return out;
}

std::vector<MaskRuns> runs_of(const MaskBits& masks) {
  return runs_from_logits(pixels_of(masks) - 0.5f, masks.width(), masks.height()).masks;
}

std::vector<std::pair<int64_t, int64_t>> pairs_of(const Json& array) {
  std::vector<std::pair<int64_t, int64_t>> out;
  for (const Json& pair : array.as_array("pairs")) out.emplace_back(ints(pair)[0], ints(pair)[1]);
  return out;
}

}  // namespace

TEST_CASE("golden multiplex heuristics: suppression of detections, at a prompt and in a propagation") {
  for (const Json& one : cases("nms")) {
    const MaskBits masks = masks_of(one, "masks");
    const auto kept = [&](Overlap overlap, Nms nms) {
      return nms_masks(floats(one.at("scores")), masks, real(one.at("prob")), real(one.at("thresh")), overlap, nms);
    };
    CHECK(kept(mask_covered, nms_by_any) == flags(one.at("iom_add_prompt")));
    CHECK(kept(mask_iom, stable_nms) == flags(one.at("iom_batched")));
    CHECK(kept(mask_iou, nms_by_any) == flags(one.at("iou_add_prompt")));
    CHECK(kept(mask_iou, stable_nms) == flags(one.at("iou_batched")));
  }
}

TEST_CASE("golden multiplex heuristics: detections at an edge") {
  const Json& recorded = function_of("boundary");
  std::vector<bool> inside;
  for (const Json& box : recorded.at("boxes_xyxy").as_array("boxes")) {
    const auto corners = floats(box);
    inside.push_back(is_inside({corners[0], corners[1], corners[2], corners[3]}, MultiplexOptions().boundary_margin));
  }
  CHECK(inside == flags(recorded.at("keep")));
}

TEST_CASE("golden multiplex heuristics: association") {
  const MultiplexRules rules{MultiplexOptions{}};
  for (const Json& one : cases("associate")) {
    const MaskBits masks = masks_of(one, "det");
    const auto scores = floats(one.at("scores"));
    const auto keep = flags(one.at("keep"));
    std::vector<int64_t> kept;
    ConceptDetections detections;
    for (size_t i = 0; i < keep.size(); i++) {
      if (!keep[i]) continue;
      kept.push_back(static_cast<int64_t>(i));
      detections.scores.push_back(scores[i]);
    }
    detections.bits = masks.select(kept);
    const auto found = rules.associate(detections, masks_of(one, "trk"), ints(one.at("trk_ids")));
    std::vector<int64_t> fresh;
    for (const int64_t d : found.new_detections) fresh.push_back(kept[d]);
    CHECK(fresh == ints(one.at("new")));
    CHECK(found.unmatched == ints(one.at("unmatched")));
    CHECK(found.empty == ints(one.at("empty")));
    REQUIRE(found.detection_to_masklets.size() == one.at("matched").as_object("matched").size());
    for (size_t d = 0; d < kept.size(); d++)
      CHECK(found.detection_to_masklets[d] == ints(one.at("matched").at(std::to_string(kept[d]))));
    const auto& confident = one.at("high_conf").as_object("confident");
    REQUIRE(found.confident.size() == confident.size());
    for (const auto& [id, d] : found.confident) CHECK(confident.at(std::to_string(id)).as_int("detection") == kept[d]);
  }
}

TEST_CASE("golden multiplex heuristics: hotstart, frame by frame") {
  const MultiplexOptions options;
  for (const Json& one : cases("hotstart")) {
    const auto first = ints(one.at("first_frame"));
    const auto count = static_cast<int64_t>(first.size());
    HotstartState state;
    for (int64_t id = 0; id < count; id++) {
      state.first_frame[id] = first[id];
      state.keep_alive[id] = options.init_trk_keep_alive;
    }
    for (const Json& step : one.at("steps").as_array("steps")) {
      Association association;
      for (const Json& row : step.at("im").as_array("matches")) {
        const auto matches = ints(row);
        auto& ids = association.detection_to_masklets.emplace_back();
        for (int64_t id = 0; id < count; id++)
          if (matches[id]) ids.push_back(id);
      }
      const auto unmatched = flags(step.at("unmatched"));
      for (int64_t id = 0; id < count; id++)
        if (unmatched[id]) association.unmatched.push_back(id);
      const int64_t frame = step.at("frame").as_int("frame");
      CAPTURE(frame);
      const auto plan = process_hotstart(state, frame, one.at("reverse").as_bool("reverse"), association, {}, options,
                                         MultiplexRules(options).hotstart());
      const auto remove = flags(step.at("remove"));
      const auto unmatched_count = ints(step.at("unmatched_count")), alive = ints(step.at("keep_alive"));
      for (int64_t id = 0; id < count; id++) {
        CHECK(plan.remove.contains(id) == remove[id]);
        CHECK(state.unmatched_frames[id] == unmatched_count[id]);
        CHECK(state.keep_alive[id] == alive[id]);
        const auto overlaps = ints(step.at("overlap").as_array("overlap")[id]);
        for (int64_t other = 0; other < count; other++) {
          const auto known = state.overlap_frames.find({id, other});
          CHECK((known == state.overlap_frames.end() ? 0 : known->second) == overlaps[other]);
        }
      }
      CHECK(plan.suppress.empty());
    }
  }
}

TEST_CASE("golden multiplex heuristics: recent occlusion") {
  const float threshold = MultiplexOptions().suppress_overlapping_based_on_recent_occlusion_threshold;
  for (const Json& one : cases("occlusion"))
    CHECK(recently_occluded(masks_of(one, "masks"), ints(one.at("last_occluded")), threshold,
                            one.at("reverse").as_bool("reverse")) == flags(one.at("suppress")));
}

TEST_CASE("golden multiplex heuristics: confirmation") {
  Confirmation confirmation;
  const Json& recorded = function_of("confirmation");
  const int64_t confirmed = recorded.at("confirmed").as_int("confirmed");
  for (const Json& step : recorded.at("steps").as_array("steps")) {
    Association association;
    association.detection_to_masklets.push_back(ints(step.at("matched")));
    const auto ids = ints(step.at("after")), status = ints(step.at("status")), count = ints(step.at("count"));
    update_confirmation(confirmation, ids, ints(step.at("new")), association,
                        MultiplexOptions().masklet_confirmation_consecutive_det_thresh);
    for (size_t i = 0; i < ids.size(); i++) {
      CHECK(confirmation.status.at(ids[i]).confirmed == (status[i] == confirmed));
      CHECK(confirmation.status.at(ids[i]).consecutive == count[i]);
    }
  }
}

TEST_CASE("golden multiplex heuristics: the object limit") {
  for (const Json& one : cases("limit"))
    CHECK(best_detections(ints(one.at("inds")), floats(one.at("scores")), one.at("keep").as_int("keep")) ==
          ints(one.at("out")));
}

TEST_CASE("golden multiplex heuristics: exclusivity, and masks that lose most of their area") {
  for (const Json& one : cases("output_exclusive")) {
    auto runs = runs_of(masks_of(one, "masks"));
    make_exclusive(runs, floats(one.at("scores")), one.at("h").as_int("h"));
    const MaskBits expected = masks_of(one, "out");
    for (size_t i = 0; i < runs.size(); i++)
      CHECK(same_mask(bits_of(runs[i], expected.height(), expected.width()), 0, expected, static_cast<int64_t>(i)));
  }
  for (const Json& one : cases("shrinkage")) {
    const at::Tensor masks = pixels_of(masks_of(one, "masks")) > 0;
    const at::Tensor inside = at::tensor(at::ArrayRef<float>(floats(one.at("inside")))).view({-1, 1, 1});
    const at::Tensor logits = at::where(masks, inside, at::full({1, 1, 1}, real(one.at("outside"))));
    const auto source = [&](int64_t begin, int64_t many) { return logits.narrow(0, begin, many); };
    for (const int64_t step : {int64_t{1}, logits.size(0)}) {
      const at::Tensor kept = keeps_area(source, logits.size(0), step);
      const auto suppressed = flags(one.at("suppressed"));
      for (size_t i = 0; i < suppressed.size(); i++) CHECK(kept[static_cast<int64_t>(i)].item<bool>() != suppressed[i]);
    }
  }
}

TEST_CASE("golden multiplex heuristics: boxes of masks") {
  for (const Json& one : cases("boxes")) {
    const MaskBits masks = masks_of(one, "masks");
    for (int64_t i = 0; i < masks.count(); i++) {
      const auto box = masks.box(i);
      CHECK(std::vector<float>(box.begin(), box.end()) == floats(one.at("xyxy").as_array("boxes")[i]));
    }
  }
}

TEST_CASE("golden multiplex heuristics: slots of buckets") {
  for (const Json& one : cases("mux_state")) {
    std::optional<SlotAssignment> state;
    const int64_t slots = one.at("S").as_int("S");
    for (const Json& step : one.at("steps").as_array("steps")) {
      const std::string& op = step.at("op").as_string("op");
      if (op == "start") {
        std::vector<int64_t> ids;
        for (int64_t i = 0; i < step.at("n").as_int("n"); i++) ids.push_back(100 + i);
        state.emplace(slots, ids);
      } else if (op == "remove") {
        std::vector<int64_t> gone;
        for (const int64_t index : ints(step.at("indices"))) gone.push_back(state->ids()[index]);
        CHECK(state->remove(gone) == ints(step.at("buckets_kept")));
      } else {
        // Objects without room are no others' matter: whoever adds them asks first.
        const auto ids = ints(step.at("ids"));
        const bool fits = static_cast<int64_t>(ids.size()) <= state->free();
        if (!step.at("allow_new_buckets").as_bool("allowed")) CHECK(fits == !step.find("error"));
        if (step.find("error")) continue;
        state->add(ids);
      }
      std::vector<std::vector<int64_t>> expected;
      if (!step.find("object_ids") && op == "remove") {  // nothing is left
        CHECK(state->buckets() == 0);
        CHECK(state->ids().empty());
        continue;
      }
      for (const Json& bucket : step.at("assignments").as_array("buckets")) expected.push_back(ints(bucket));
      CHECK(state->indices() == expected);
      if (const Json* ids = step.find("object_ids")) CHECK(state->ids() == ints(*ids));
      if (const Json* available = step.find("available_slots")) CHECK(state->free() == available->as_int("free"));
    }
  }
}

TEST_CASE("multiplex heuristics: new objects go where they fill up a state, or have a new one") {
  const std::vector<SlotAssignment> states{{4, {1, 2, 3, 4, 5}}, {4, {6, 7}}, {4, {8, 9, 10}}};
  CHECK(state_for(states, 1) == 2u);
  CHECK(state_for(states, 2) == 1u);
  CHECK(state_for(states, 3) == 0u);
  CHECK_FALSE(state_for(states, 4).has_value());
  CHECK_FALSE(state_for({}, 1).has_value());
}

TEST_CASE("golden multiplex heuristics: which memories a frame attends to") {
  for (const Json& one : cases("closest_cond")) {
    const auto choice = select_closest_cond_frames(one.at("frame").as_int("frame"), ints(one.at("cond")), 4, false);
    CHECK(choice.selected == ints(one.at("selected")));
    CHECK(choice.unselected == ints(one.at("unselected")));
  }
  for (const Json& one : function_of("memory_plan").at("cases").as_array("cases")) {
    const auto tracked = ints(one.at("non_cond"));
    const auto plan =
        plan_memories(one.at("frame").as_int("frame"), one.at("reverse").as_bool("reverse"),
                      one.at("num_frames").as_int("frames"), ints(one.at("cond")), {tracked.begin(), tracked.end()});
    CHECK(plan.frames == pairs_of(one.at("spatial")));
    CHECK(plan.pointers == pairs_of(one.at("pointers")));
    CHECK(plan.most_pointers == one.at("pointer_max").as_int("most"));
  }
  CHECK(plan_memories(3, false, -1, {0}, {1, 2}).most_pointers == 16);
}
