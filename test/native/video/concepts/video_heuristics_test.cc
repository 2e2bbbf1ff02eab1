// The single functions of the concept logic against those of the reference, exactly.
#include <ATen/ATen.h>
#include <doctest/doctest.h>

#include <cstring>

#include "masks/mask_ops.h"
#include "masks/nms.h"
#include "masks/run_components.h"
#include "support/golden.h"
#include "support/support.h"
#include "support/video_golden.h"
#include "video/concepts/association.h"
#include "video/concepts/hotstart.h"
#include "video/concepts/hungarian.h"
#include "video/concepts/occlusion.h"

using namespace sam3;
using namespace sam3::test;

namespace {

// What the reference gave for one of its functions; empty where the set leaves it out.
const Json::Array& cases(const std::string& function) {
  static const Json::Array none;
  const Json* found = golden_function(function);
  if (!found) return none;
  REQUIRE(!found->as_array("cases").empty());
  return found->as_array("cases");
}

MaskBits masks_of(const Json& json, const char* name) {
  return bits_from_strings(json.at(name), json.at("h").as_int("h"), json.at("w").as_int("w"));
}

// Nested lists of numbers as a tensor of four dimensions.
at::Tensor tensor4(const Json& json) {
  std::vector<at::Tensor> outer;
  for (const Json& item : json.as_array("items")) {
    std::vector<at::Tensor> planes;
    for (const Json& plane : item.as_array("planes")) {
      std::vector<at::Tensor> rows;
      for (const Json& row : plane.as_array("rows")) rows.push_back(at::tensor(at::ArrayRef<float>(floats(row))));
      planes.push_back(at::stack(rows));
    }
    outer.push_back(at::stack(planes));
  }
  return at::stack(outer);
}

MaskRuns runs_of(const at::Tensor& mask) {
  return runs_from_logits((mask > 0).to(at::kFloat).sub_(0.5f).unsqueeze(0), mask.size(1), mask.size(0)).masks[0];
}

at::Tensor pixels_of(const MaskRuns& mask, int64_t height, int64_t width) {
  at::Tensor columns = at::zeros({width * height}, at::kByte);
  int64_t at = 0;
  for (size_t i = 0; i < mask.runs.size(); i++) {
    if (i % 2 == 1) columns.narrow(0, at, mask.runs[i]).fill_(1);
    at += mask.runs[i];
  }
  REQUIRE(at == width * height);
  return columns.view({width, height}).t().contiguous();
}

std::map<int64_t, int64_t> int_map(const Json& json) {
  std::map<int64_t, int64_t> out;
  for (const auto& [key, value] : json.as_object("map")) out[std::stoll(key)] = value.as_int("value");
  return out;
}

std::vector<int64_t> listed(const std::set<int64_t>& ids) {
  return {ids.begin(), ids.end()};
}

}  // namespace

TEST_CASE("golden heuristics: nms_masks and mask_iou") {
  for (const Json& c : cases("nms_masks")) {
    const auto scores = floats(c.at("pred_probs"));
    const MaskBits masks = masks_of(c, "masks_bits");
    const auto keep = nms_masks(scores, masks, static_cast<float>(c.at("prob_threshold").as_double("threshold")),
                                static_cast<float>(c.at("iou_threshold").as_double("threshold")));
    CHECK(std::vector<int64_t>(keep.begin(), keep.end()) == ints(c.at("keep")));
    std::vector<float> expected;
    for (const Json& row : c.at("ious").as_array("ious"))
      for (const float iou : floats(row)) expected.push_back(iou);
    CHECK(mask_iou(masks, masks) == expected);
  }
}

TEST_CASE("heuristics: of equal scores the last detection stays") {
  CHECK(generic_nms(std::vector<float>(16, 1.0f), std::vector<float>(4, 0.5f), 0.5f) == std::vector<int64_t>{3});
  CHECK(generic_nms({}, {}, 0.5f).empty());
}

TEST_CASE("golden heuristics: associate") {
  for (const Json& c : cases("associate_det_trk_video_base")) {
    ConceptOptions options;
    apply(options, c.at("settings"));
    const auto found = associate(masks_of(c, "det_masks_bits"), floats(c.at("det_scores")),
                                 masks_of(c, "trk_masks_bits"), ints(c.at("trk_obj_ids")), options);
    CHECK(found.new_detections == ints(c.at("new_det_fa_inds")));
    CHECK(found.unmatched == ints(c.at("unmatched_trk_obj_ids")));
    CHECK(found.empty == ints(c.at("empty_trk_obj_ids")));
    const auto& belongs = c.at("det_to_matched_trk_obj_ids").as_object("map");
    REQUIRE(found.detection_to_masklets.size() == belongs.size());
    for (const auto& [detection, ids] : belongs)
      CHECK(found.detection_to_masklets[std::stoull(detection)] == ints(ids));
    const auto confident = int_map(c.at("trk_id_to_max_iou_high_conf_det"));
    CHECK(std::map<int64_t, int64_t>(found.confident.begin(), found.confident.end()) == confident);
  }
}

TEST_CASE("golden heuristics: one-to-one matching gives the pairs that SciPy gives") {
  for (const Json& c : cases("associate_det_trk_perflib")) {
    const MaskBits detections = masks_of(c, "det_masks_bits"), masklets = masks_of(c, "trk_masks_bits");
    const auto scores = floats(c.at("det_scores")), ious = mask_iou(detections, masklets);
    std::vector<double> cost;
    for (const float iou : ious) cost.push_back(1.0f - iou);
    const auto pairs = assign(cost, detections.count(), masklets.count());
    const auto& expected = c.at("matched_det_scores").as_object("pairs");
    REQUIRE(pairs.size() == expected.size());
    for (const auto& [d, t] : pairs) {
      const auto values = c.at("matched_det_scores").at(std::to_string(t)).as_array("values");
      CHECK(static_cast<float>(values[0].as_double("score")) == scores[d]);
    }
  }
}

TEST_CASE("heuristics: one-to-one matching finds the least cost") {
  std::mt19937_64 random(3);
  std::uniform_int_distribution<int> size(1, 6), value(0, 5);
  for (int i = 0; i < fuzz_cases(300); i++) {
    const int64_t rows = size(random), columns = size(random);
    std::vector<double> cost(rows * columns);
    for (double& c : cost) c = value(random) / 4.0;
    const auto pairs = assign(cost, rows, columns);
    REQUIRE(static_cast<int64_t>(pairs.size()) == std::min(rows, columns));
    double total = 0;
    std::set<int64_t> used_rows, used_columns;
    for (const auto& [row, column] : pairs) {
      total += cost[row * columns + column];
      used_rows.insert(row), used_columns.insert(column);
    }
    CHECK(used_rows.size() == pairs.size());
    CHECK(used_columns.size() == pairs.size());
    // Every choice of columns for the rows (or of rows for the columns).
    const bool wide = rows <= columns;
    const int64_t few = std::min(rows, columns), many = std::max(rows, columns);
    std::vector<int64_t> order(many);
    for (int64_t k = 0; k < many; k++) order[k] = k;
    double least = 1e9;
    do {
      double sum = 0;
      for (int64_t k = 0; k < few; k++) sum += wide ? cost[k * columns + order[k]] : cost[order[k] * columns + k];
      least = std::min(least, sum);
    } while (std::next_permutation(order.begin(), order.end()));
    CHECK(total == doctest::Approx(least));
  }
  CHECK(assign({}, 0, 3).empty());
  CHECK(assign({}, 3, 0).empty());
}

TEST_CASE("golden heuristics: connected components") {
  for (const Json& c : cases("connected_components")) {
    const at::Tensor input = tensor4(c.at("input")), labels = tensor4(c.at("labels")), counts = tensor4(c.at("counts"));
    for (int64_t i = 0; i < input.size(0); i++) {
      std::vector<LineRun> runs;
      for (int64_t y = 0; y < input.size(2); y++)
        for (int64_t x = 0; x < input.size(3); x++) {
          if (input[i][0][y][x].item<float>() == 0) continue;
          if (!runs.empty() && runs.back().line == y && runs.back().end == x)
            runs.back().end++;
          else
            runs.push_back({static_cast<int32_t>(y), static_cast<int32_t>(x), static_cast<int32_t>(x + 1)});
        }
      const RunComponents found(runs);
      for (size_t r = 0; r < runs.size(); r++)
        for (int32_t x = runs[r].begin; x < runs[r].end; x++) {
          CHECK(labels[i][0][runs[r].line][x].item<int64_t>() == found.component(r) + 1);
          CHECK(counts[i][0][runs[r].line][x].item<int64_t>() == found.area(found.component(r)));
        }
      CHECK(labels[i].max().item<int64_t>() == found.count());
    }
  }
}

TEST_CASE("golden heuristics: holes and sprinkles, in logits and in runs") {
  for (const Json& c : cases("fill_holes_in_mask_scores")) {
    const at::Tensor masks = tensor4(c.at("mask")).squeeze(1), expected = tensor4(c.at("out")).squeeze(1);
    const bool fill = c.at("fill_holes").as_bool("flag"), remove = c.at("remove_sprinkles").as_bool("flag");
    const int64_t max_area = c.at("max_area").as_int("area");
    const at::Tensor before = masks.clone();
    LogitMasks logits(masks);
    logits.repair(max_area, fill, remove);
    CHECK(at::equal(logits.host(), expected));
    CHECK(at::equal(masks, before));
    const MaskBits bits = MaskBits::above_zero(expected);
    for (int64_t i = 0; i < masks.size(0); i++) {
      CHECK(same_mask(logits.bits(), i, bits, i));
      if (!fill || !remove) continue;
      const MaskRuns runs = repaired(runs_of(masks[i]), masks.size(1), max_area);
      CHECK(at::equal(pixels_of(runs, masks.size(1), masks.size(2)), (expected[i] > 0).to(at::kByte)));
      CHECK(runs.area == (expected[i] > 0).sum().item<int64_t>());
    }
  }
}

TEST_CASE("golden heuristics: exclusivity by object") {
  const Json* found = golden_function("object_wise_non_overlapping");
  if (!found) return;
  const Json& c = *found;
  const at::Tensor masks = tensor4(c.at("masks")).squeeze(1), expected = tensor4(c.at("out")).squeeze(1);
  std::vector<MaskRuns> runs;
  std::vector<float> scores;
  for (int64_t i = 0; i < masks.size(0); i++) {
    runs.push_back(runs_of(masks[i]));
    scores.push_back(floats(c.at("scores").as_array("scores")[i])[0]);
  }
  make_exclusive(runs, scores, masks.size(1));
  for (int64_t i = 0; i < masks.size(0); i++)
    CHECK(at::equal(pixels_of(runs[i], masks.size(1), masks.size(2)), expected[i].to(at::kByte)));
}

TEST_CASE("heuristics: exclusivity of random masks, pixel by pixel") {
  at::manual_seed(5);
  for (int round = 0; round < 40; round++) {
    const int64_t n = 1 + round % 6, h = 5 + round % 7, w = 9;
    const at::Tensor masks = at::randn({n, h, w}) + 0.5 * (round % 3) > 0;
    std::vector<MaskRuns> runs;
    std::vector<float> scores;
    for (int64_t i = 0; i < n; i++) {
      runs.push_back(runs_of(masks[i]));
      scores.push_back(static_cast<float>((i * 7 + round) % 4) / 4.0f - (round % 5 == 0 ? 0.5f : 0.0f));
    }
    // The reference's formula on tensors.
    at::Tensor expected = masks;
    if (n > 1) {
      const at::Tensor score = at::tensor(at::ArrayRef<float>(scores)).view({n, 1, 1});
      const at::Tensor claims = at::where(masks, score.expand({n, h, w}), at::zeros({n, h, w}));
      const at::Tensor winner = claims.argmax(0, true) == at::arange(n).view({n, 1, 1});
      expected = masks & winner & (claims > 0);
    }
    make_exclusive(runs, scores, h);
    for (int64_t i = 0; i < n; i++) {
      CHECK(at::equal(pixels_of(runs[i], h, w), expected[i].to(at::kByte)));
      const MaskRuns again = runs_of(expected[i]);
      CHECK(runs[i].runs == again.runs);
      CHECK(runs[i].area == again.area);
      CHECK(runs[i].box == again.box);
    }
  }
}

TEST_CASE("golden heuristics: recent occlusion") {
  for (const Json& c : cases("recent_occlusion")) {
    const auto suppress = recently_occluded(masks_of(c, "masks_bits"), ints(c.at("last_occluded")),
                                            static_cast<float>(c.at("threshold").as_double("threshold")),
                                            c.at("reverse").as_bool("reverse"));
    CHECK(std::vector<int64_t>(suppress.begin(), suppress.end()) == ints(c.at("to_suppress")));
  }
}

TEST_CASE("golden heuristics: boxes of masks") {
  const Json *found = golden_function("masks_to_boxes"), *same = golden_function("mask_to_box");
  if (!found || !same) return;
  const Json& c = *found;
  const MaskBits masks = masks_of(c, "masks_bits");
  for (int64_t i = 0; i < masks.count(); i++) {
    const auto box = masks.box(i);
    CHECK(std::vector<float>(box.begin(), box.end()) == floats(c.at("boxes_xyxy").as_array("boxes")[i]));
    CHECK(std::vector<int64_t>(box.begin(), box.end()) ==
          ints(same->at("boxes").as_array("boxes")[i].as_array("box")[0]));
  }
  CHECK(MaskBits(1, 4, 70).box(0) == std::array<int64_t, 4>{0, 0, 0, 0});
}

TEST_CASE("golden heuristics: hotstart, frame by frame") {
  for (const Json& c : cases("process_hotstart")) {
    ConceptOptions options;
    apply(options, c.at("settings"));
    HotstartState state;
    for (const Json& f : c.at("frames").as_array("frames")) {
      Association association;
      for (const auto& [detection, ids] : f.at("det_to_matched_trk_obj_ids").as_object("map"))
        association.detection_to_masklets.push_back(ints(ids));
      association.unmatched = ints(f.at("unmatched_trk_obj_ids"));
      association.empty = ints(f.at("empty_trk_obj_ids"));
      const int64_t frame = f.at("frame_idx").as_int("frame");
      CAPTURE(frame);
      const auto plan = process_hotstart(state, frame, c.at("reverse").as_bool("reverse"), association,
                                         ints(f.at("new_det_obj_ids")), options);
      CHECK(listed(plan.remove) == ints(f.at("newly_removed")));
      CHECK(state.keep_alive == int_map(f.at("trk_keep_alive")));
      CHECK(listed(plan.suppress) == ints(f.at("suppressed")));
    }
  }
}

TEST_CASE("mask bits: rows of any width, and what lies beyond a row stays clear") {
  at::manual_seed(2);
  for (const int64_t width : {1, 63, 64, 65, 130, 288}) {
    const at::Tensor logits = at::randn({3, 7, width});
    MaskBits bits = MaskBits::above_zero(logits);
    for (int64_t i = 0; i < 3; i++) {
      CHECK(bits.area(i) == (logits[i] > 0).sum().item<int64_t>());
      for (int64_t x = 0; x < width; x++) CHECK(bits.get(i, 3, x) == (logits[i][3][x].item<float>() > 0));
    }
    const at::Tensor packed = pack_above_zero(logits);  // what a GPU sends
    REQUIRE(packed.numel() == 3 * 7 * bits.words_per_row() * 8);
    for (int64_t i = 0; i < 3; i++)
      for (int64_t y = 0; y < 7; y++)
        CHECK(std::memcmp(packed[i][y].const_data_ptr<uint8_t>(), bits.row(i, y), bits.words_per_row() * 8) == 0);
    bits.fill(1, 2, 0, width, true);
    bits.fill(1, 3, width / 2, width, false);
    CHECK(bits.area(1) <= 7 * width);
    bits.clear(0);
    CHECK_FALSE(bits.any(0));
    CHECK(mask_iou(bits, bits)[0] == 0.0f);
    CHECK(mask_iou(bits, bits)[4] == 1.0f);
  }
}

TEST_CASE("logit masks: on the host only what changes is copied") {
  const at::Tensor masks = at::ones({2, 8, 8});
  LogitMasks kept(masks);
  kept.repair(16);
  CHECK(kept.host().is_same(masks));
  LogitMasks changed(masks);
  changed.set(1, -10.0f);
  CHECK(masks.min().item<float>() == 1.0f);
  CHECK(changed.device()[1].max().item<float>() == -10.0f);
  CHECK_FALSE(changed.bits().any(1));
  CHECK(changed.bits().any(0));
  CHECK(changed.select({1}).count() == 1);
}
