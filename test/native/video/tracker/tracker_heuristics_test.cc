// Single functions of the reference's tracker, exact.
#include <ATen/ATen.h>
#include <doctest/doctest.h>

#include "masks/mask_overlap.h"
#include "network/mask_choice.h"
#include "support/golden.h"
#include "support/support.h"
#include "support/video_golden.h"
#include "video/tracker/memory_selection.h"
#include "video/tracker/set_order.h"

using namespace sam3;
using namespace sam3::test;

TEST_CASE("golden tracker heuristics: conditioning frames") {
  const Json* cases = golden_function("select_closest_cond_frames");
  if (!cases) return;
  for (const Json& one : cases->as_array("cases")) {
    const auto frame = one.at("frame_idx").as_int("frame");
    const auto conditioning = ints(one.at("cond_frames_in_insertion_order"));
    const auto most = one.at("max_cond_frame_num").as_int("most");
    const bool keep_first = one.at("keep_first_cond_frame").as_bool("keep first");
    const auto choice = select_closest_cond_frames(frame, conditioning, most, keep_first);
    CHECK(text_of(choice.selected) == text_of(ints(one.at("selected_in_order"))));
    CHECK(text_of(choice.unselected) == text_of(ints(one.at("unselected_in_order"))));
    // A list that lost what cannot be chosen any more gives the same choice when that is said.
    if (!choice.unselected.empty() && !keep_first) {
      std::vector<int64_t> kept;
      for (const int64_t t : conditioning)
        if (std::find(choice.selected.begin(), choice.selected.end(), t) != choice.selected.end()) kept.push_back(t);
      CHECK(text_of(select_closest_cond_frames(frame, kept, most, false, true).selected) == text_of(choice.selected));
    }
  }
}

TEST_CASE("tracker heuristics: the first conditioning frame beside two others, where two are allowed") {
  // Recorded: the reference then takes all but the farthest of those that are left.
  const auto choose = [](int64_t frame, const std::vector<int64_t>& conditioning) {
    const auto choice = select_closest_cond_frames(frame, conditioning, 2, true);
    return text_of(choice.selected) + text_of(choice.unselected);
  };
  CHECK(choose(7, {4, 6, 8, 10, 1}) == "[1 6 8 4][10]");
  CHECK(choose(7, {1, 3, 6, 8}) == "[1 6 8][3]");
  CHECK(choose(7, {1, 6, 8}) == "[1 6 8][]");
  CHECK(choose(3, {6, 8, 9}) == "[9 6][8]");
}

TEST_CASE("tracker heuristics: the order in which Python meets the frames of a set") {
  // Recorded from CPython.
  const auto order = [](const std::vector<int64_t>& added) { return text_of(python_set_order(added)); };
  CHECK(order({}) == "[]");
  CHECK(order({10, 8, 4, 6, 8}) == "[8 10 4 6]");
  CHECK(order({0, 8, 16, 3}) == "[0 8 3 16]");
  CHECK(order({5, 13, 21, 29}) == "[29 13 21 5]");
  CHECK(order({100, 3, 200, 68, 36, 4, 132}) == "[3 100 36 68 4 200 132]");
  CHECK(order({0, 100, 200, 300, 400, 500, 600, 700, 800}) == "[0 800 100 200 300 400 500 600 700]");
  CHECK(order({33, 1, 65, 2, 97, 34, 66, 129, 3, 35, 161, 4}) == "[65 33 2 1 97 34 66 129 3 35 161 4]");
}

TEST_CASE("golden tracker heuristics: frames worth remembering") {
  const Json* cases = golden_function("frame_filter");
  if (!cases) return;
  for (const Json& one : cases->as_array("cases")) {
    FrameScores scores;
    for (const auto& [frame, score] : one.at("eff_iou_score").as_object("scores"))
      scores[std::stoll(frame)] = static_cast<float>(score.as_double("score"));
    const auto got =
        frame_filter(one.at("frame_idx").as_int("frame"), scores, one.at("track_in_reverse").as_bool("reverse"),
                     one.at("num_frames").as_int("frames"), one.at("max_obj_ptrs_in_encoder").as_int("most"),
                     static_cast<float>(one.at("mf_threshold").as_double("threshold")));
    CHECK(text_of(got) == text_of(ints(one.at("valid_indices"))));
  }
  // Without a known end a stream goes on as if it were long.
  CHECK(text_of(frame_filter(3, {{1, 0.5f}, {2, 0.001f}}, false, -1, 16, 0.01f)) == "[1 2]");
  CHECK(text_of(frame_filter(3, {{4, 0.5f}, {9, 0.5f}}, true, -1, 16, 0.01f)) == "[9 4]");
}

TEST_CASE("golden tracker heuristics: score of a frame") {
  const Json* cases = golden_function("cal_mem_score");
  if (!cases) return;
  for (const Json& one : cases->as_array("cases")) {
    const float got = cal_mem_score(tensor_of(one.at("object_score_logits")), tensor_of(one.at("iou_score")));
    CHECK(got == static_cast<float>(one.at("out").as_double("score")));
  }
}

TEST_CASE("golden tracker heuristics: one mask of four") {
  const Json* cases = golden_function("dynamic_multimask_via_stability");
  if (!cases) return;
  for (const Json& one : cases->as_array("cases")) {
    const at::Tensor masks = tensor_of(one.at("mask_logits")), iou = tensor_of(one.at("ious"));
    const at::Tensor choice = choose_single_mask(masks, iou), row = at::arange(masks.size(0));
    CHECK(at::equal(masks.index({row, choice}).unsqueeze(1), tensor_of(one.at("out_masks"))));
    CHECK(at::equal(iou.index({row, choice}).unsqueeze(1), tensor_of(one.at("out_ious"))));
  }
}

TEST_CASE("golden tracker heuristics: masks that compete for pixels, in parts of any size") {
  const Json* shrinkage = golden_function("suppress_object_pw_area_shrinkage");
  const Json* overlaps = golden_function("apply_non_overlapping_constraints");
  if (!shrinkage || !overlaps) return;
  const Json &shrinking = *shrinkage, &overlapping = *overlaps;
  for (const int64_t step : {1, 2, 3, 100}) {
    CAPTURE(step);
    const at::Tensor masks = tensor_of(shrinking.at("masks")).squeeze(1);
    const LogitSource source = [&](int64_t begin, int64_t count) { return masks.narrow(0, begin, count); };
    const auto threshold = static_cast<float>(shrinking.at("shrink_threshold").as_double("threshold"));
    const at::Tensor kept = keeps_area(source, masks.size(0), step, threshold);
    CHECK(at::equal(at::where(kept.view({-1, 1, 1}), masks, masks.clamp_max(-10)),
                    tensor_of(shrinking.at("out")).squeeze(1)));

    const at::Tensor others = tensor_of(overlapping.at("masks")).squeeze(1);
    const LogitSource other_source = [&](int64_t begin, int64_t count) { return others.narrow(0, begin, count); };
    const at::Tensor strongest = strongest_object(other_source, others.size(0), step);
    CHECK(at::equal(without_overlap(others, strongest, 0), tensor_of(overlapping.at("out")).squeeze(1)));
    CHECK(at::equal(without_overlap(others.narrow(0, 1, 2), strongest, 1),
                    tensor_of(overlapping.at("out")).squeeze(1).narrow(0, 1, 2)));
  }
}

TEST_CASE("golden tracker heuristics: positions of pointers in time") {
  const Json* cases = golden_function("pointer_tpos_enc");
  if (!cases) return;
  const auto model = golden_model().load();
  for (const Json& one : cases->as_array("cases")) {
    const at::Tensor most = at::full({}, one.at("max_abs_pos").as_double("most") - 1);
    const at::Tensor offsets = tensor_of(one.at("rel_pos")) / most.to(at::kFloat);
    const at::Tensor got = model->program().pointer_position(offsets.to(model->program().target().device)).cpu();
    CHECK(at::allclose(got, tensor_of(one.at("out")), 0, 2e-6));
  }
}
