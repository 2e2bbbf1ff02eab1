#include "support/multiplex_replay.h"

#include <ATen/ATen.h>
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "support/sha256.h"
#include "support/support.h"
#include "support/video_golden.h"

namespace sam3::test {
namespace {

// The set keeps prescribed scores in float32; the reference was given them in float64.
constexpr float kRounding = 1.3e-7f, kTolerance = 2e-4f;
constexpr int64_t kUnconfirmed = 1;

}  // namespace

// Masks from packed bits and the two logits that each has inside and outside.
at::Tensor logits_of(const at::Tensor& bits, const at::Tensor& values, int64_t side) {
  const MaskBits masks = bits_from_packed(bits, side, side);
  at::Tensor out = at::empty({masks.count(), side, side});
  for (int64_t i = 0; i < masks.count(); i++) {
    out[i].fill_(values[i][1]);
    for (int64_t y = 0; y < side; y++)
      for (int64_t x = 0; x < side; x++)
        if (masks.get(i, y, x)) out[i][y][x] = values[i][0];
  }
  return out;
}

ConceptDetections crafted_detections(const GoldenTensors& tensors, const std::string& run, int64_t frame, bool prompted,
                                     const MultiplexRules& rules, int64_t side, c10::Device device,
                                     std::vector<int64_t>* queries) {
  queries->clear();
  const std::string key = run + ".crafted_det." + std::to_string(frame) + ".";
  if (!tensors.has(key + "bits")) {
    const at::Tensor none = at::empty({0, side, side});
    return rules.keep({}, {}, none.to(device), MaskBits::above_zero(none), prompted);
  }
  const at::Tensor scores = tensors.at(key + "scores"), boxes = tensors.at(key + "boxes_xyxy");
  const at::Tensor masks = logits_of(tensors.at(key + "bits"), tensors.at(key + "values"), side);
  std::vector<float> above;
  std::vector<std::array<float, 4>> corners;
  std::vector<int64_t> rows;
  for (int64_t i = 0; i < scores.size(0); i++) {
    if (!(scores[i].item<float>() > rules.options().score_threshold_detection)) continue;
    above.push_back(scores[i].item<float>());
    auto& box = corners.emplace_back();
    for (int64_t c = 0; c < 4; c++) box[c] = boxes[i][c].item<float>();
    rows.push_back(i);
  }
  const at::Tensor chosen = masks.index_select(0, at::tensor(at::ArrayRef<int64_t>(rows)));
  ConceptDetections found = rules.keep(above, corners, chosen.to(device), MaskBits::above_zero(chosen), prompted);
  std::vector<bool> used(above.size());
  for (size_t i = 0; i < found.scores.size(); i++)
    for (size_t j = 0; j < above.size(); j++) {
      if (used[j] || above[j] != found.scores[i] || corners[j] != found.boxes[i]) continue;
      used[j] = true;
      queries->push_back(rows[j]);
      break;
    }
  REQUIRE(queries->size() == found.scores.size());
  return found;
}

MultiplexOptions MultiplexReplay::options_of(const Json& run) {
  MultiplexOptions options;
  apply(options, run.at("overrides"), {"postprocess_batch_size"});  // that one is about when, not about what
  if (run.at("frames").as_int("frames") == 1) options.new_det_thresh = options.image_only_det_thresh;
  return options;
}

MultiplexReplay::MultiplexReplay(const std::string& name, const Json& run, const GoldenTensors& tensors,
                                 const OutputRules& size, int64_t side, const MultiplexOptions& options,
                                 ReplaySubject& subject)
    : name_(name),
      run_(run),
      tensors_(tensors),
      size_(size),
      frames_(run.at("frames").as_int("frames")),
      side_(side),
      options_(options),
      subject_(subject),
      rules_(std::make_shared<MultiplexRules>(options_)),
      state_(subject.tracker(), rules_),
      stage_(size),
      tolerance_(subject.is_exact() ? kRounding : kTolerance) {}

void MultiplexReplay::play() {
  const auto& ops = run_.at("ops").as_array("ops");
  for (size_t op = 0; op < ops.size(); op++) {
    CAPTURE(op);
    if (ops[op].at("op").as_string("op") == "prompt") {
      const int64_t frame = ops[op].at("frame").as_int("frame");
      process(frame, false, /*prompted=*/true);
      check_output(op, frame, stage_.look(frame));
    } else {
      propagate(op, ops[op]);
    }
  }
  CHECK(step_ == run_.at("internals").as_array("internals").size());
  CHECK(shown_ == run_.at("outputs").as_array("outputs").size());
}

void MultiplexReplay::propagate(size_t op, const Json& about) {
  const int64_t start = about.at("start").as_int("start");
  const bool reverse = about.find("reverse") != nullptr, fails = about.find("error") != nullptr;
  const bool fetch = !fails && about.at("propagation_type").as_string("type") == "propagation_fetch";
  stage_.forget_unconfirmed();
  PendingFrames pending;
  pending.begin(options_.hotstart_delay);
  int64_t last = reverse ? 0 : frames_ - 1;
  if (const Json* most = about.find("max"))
    last = reverse ? std::max<int64_t>(start - most->as_int("max"), 0)
                   : std::min(start + most->as_int("max"), frames_ - 1);
  int64_t to_show = INT64_MAX;  // results after which the run was left
  if (const Json* stop = about.find("stop_after")) to_show = stop->as_int("stop");
  for (int64_t frame = reverse ? start - 1 : start; reverse ? frame >= last : frame <= last;
       frame += reverse ? -1 : 1) {
    if (fetch) {
      check_output(op, frame, stage_.look(frame));
      continue;
    }
    if (fails && step_ == run_.at("internals").as_array("internals").size()) return;  // the reference's last frame
    process(frame, reverse, false);
    for (const int64_t ready : pending.push(frame, frame == last)) {
      if (to_show-- <= 0 || (fails && shown_ == run_.at("outputs").as_array("outputs").size())) continue;
      check_output(
          op, ready,
          stage_.finalise(ready, {}, options_.masklet_confirmation_consecutive_det_thresh - 1, reverse, frames_));
    }
  }
}

ConceptDetections MultiplexReplay::detect(int64_t frame, bool prompted) {
  const c10::Device device(subject_.is_exact() ? "cpu" : test_device());  // where the tracker is
  if (run_.find("crafted"))
    return crafted_detections(tensors_, name_, frame, prompted, *rules_, side_, device, &queries_);
  ConceptDetections found = subject_.detect(frame, prompted, *rules_);
  // Which queries of the network they are nobody tells: as many as recorded, with the same scores, stand for those.
  const std::string key = name_ + ".internal." + std::to_string(step_) + ".";
  const auto kept = ints(run_.at("internals").as_array("internals").at(step_).at("kept_queries"));
  queries_ = kept;
  queries_.resize(found.scores.size(), -1);
  REQUIRE(found.scores.size() == kept.size() + static_cast<size_t>(found.at_edge));
  if (tensors_.has(key + "det_scores"))
    for (size_t i = 0; i < kept.size(); i++)
      CHECK(std::abs(found.scores[i] - tensors_.at(key + "det_scores")[static_cast<int64_t>(i)].item<float>()) <=
            tolerance_);
  return found;
}

void MultiplexReplay::process(int64_t frame, bool reverse, bool prompted) {
  const Json& expected = run_.at("internals").as_array("internals").at(step_);
  const std::string inner = name_ + ".internal." + std::to_string(step_) + ".";
  CAPTURE(inner);
  REQUIRE(expected.at("frame").as_int("frame") == frame);
  REQUIRE(expected.at("reverse").as_bool("reverse") == reverse);
  subject_.open(frame);
  const ConceptDetections detections = detect(frame, prompted);
  step_++;
  const auto kept = static_cast<int64_t>(queries_.size()) - detections.at_edge;
  CHECK(std::vector<int64_t>(queries_.begin(), queries_.begin() + kept) == ints(expected.at("kept_queries")));
  const auto before = subject_.states();
  const FramePlan plan = state_.step(frame, reverse, detections, next_id_);
  check_plan(plan, expected, kept, before);
  check_state(expected);
  if (!plan.masklets.empty()) {
    const at::Tensor areas = tensors_.at(inner + "trk_area_after");
    const int64_t most = subject_.is_exact() ? 0 : side_ * side_ / 1000;
    for (int64_t i = 0; i < plan.masks.count(); i++)
      CHECK(std::abs(plan.masks.bits().area(i) - areas[i].item<int64_t>()) <= most);
    if (!subject_.is_exact() && tensors_.has(inner + "trk_obj_scores"))
      for (int64_t i = 0; i < plan.masks.count(); i++)
        CHECK(std::abs(plan.object_logits[i] - tensors_.at(inner + "trk_obj_scores")[i].item<float>()) <= kTolerance);
  }
  stage_.store(frame, record_of(plan, detections, state_.metadata(), options_, size_));
  if (options_.masklet_confirmation_enable)
    stage_.note_unconfirmed(frame, state_.metadata().confirmation.unconfirmed(state_.metadata().ids));
}

void MultiplexReplay::check_plan(const FramePlan& plan, const Json& expected, int64_t kept,
                                 const std::vector<SlotAssignment>& before) {
  CHECK(plan.masklets == ints(expected.at("obj_ids_before")));
  std::vector<int64_t> fresh;
  for (const int64_t d : plan.new_detections) fresh.push_back(queries_[d]);
  CHECK(fresh == ints(expected.at("new_queries")));
  CHECK(plan.new_ids == ints(expected.at("new_obj_ids")));
  CHECK(plan.dropped == expected.at("dropped").as_int("dropped"));
  CHECK(plan.association.unmatched == ints(expected.at("unmatched")));
  const Json& matched = expected.at("matched");
  REQUIRE(static_cast<int64_t>(matched.as_object("matched").size()) == kept);
  for (int64_t d = 0; d < kept; d++)
    CHECK(plan.association.detection_to_masklets[d] == ints(matched.at(std::to_string(queries_[d]))));
  const auto& confident = expected.at("high_conf").as_object("confident");
  REQUIRE(plan.association.confident.size() == confident.size());
  for (const auto& [id, d] : plan.association.confident)
    CHECK(confident.at(std::to_string(id)).as_int("query") == queries_[d]);
  CHECK(std::vector<int64_t>(plan.removed.begin(), plan.removed.end()) == ints(expected.at("removed")));
  CHECK(plan.hidden.empty());
  // The mask that a detection corrects is encoded again with all the others of its state.
  std::set<int64_t> touched;
  for (const SlotAssignment& one : before)
    for (const int64_t id : plan.reconditioned)
      if (std::find(one.ids().begin(), one.ids().end(), id) != one.ids().end())
        touched.insert(one.ids().begin(), one.ids().end());
  CHECK(std::vector<int64_t>(touched.begin(), touched.end()) == ints(expected.at("reconditioned")));
}

void MultiplexReplay::check_state(const Json& expected) const {
  const ConceptMetadata& found = state_.metadata();
  REQUIRE(found.ids == ints(expected.at("obj_ids")));
  const auto value = [](const auto& map, const auto& key, int64_t fallback) {
    const auto known = map.find(key);
    return known == map.end() ? fallback : static_cast<int64_t>(known->second);
  };
  if (found.ids.empty()) return;  // nothing is recorded then
  const auto first = ints(expected.at("first_frame")), unmatched = ints(expected.at("unmatched_count")),
             alive = ints(expected.at("keep_alive")), occluded = ints(expected.at("last_occluded"));
  for (size_t i = 0; i < found.ids.size(); i++) {
    const int64_t id = found.ids[i];
    CHECK(found.hotstart.first_frame.at(id) == first[i]);
    CHECK(value(found.hotstart.unmatched_frames, id, 0) == unmatched[i]);
    CHECK(found.hotstart.keep_alive.at(id) == alive[i]);
    CHECK(value(found.last_occluded, id, -1) == occluded[i]);
    const auto overlaps = ints(expected.at("overlap_counts").as_array("overlaps")[i]);
    for (size_t j = 0; j < found.ids.size(); j++)
      CHECK(value(found.hotstart.overlap_frames, std::pair{id, found.ids[j]}, 0) == overlaps[j]);
    if (!options_.masklet_confirmation_enable) continue;
    const auto& status = found.confirmation.status.at(id);
    CHECK(status.confirmed == (ints(expected.at("confirm_status"))[i] != kUnconfirmed));
    CHECK(status.consecutive == ints(expected.at("confirm_count"))[i]);
  }
  const auto& scores = expected.at("score").as_object("scores");
  REQUIRE(found.scores.size() == scores.size());
  for (const auto& [id, score] : found.scores)
    CHECK(std::abs(score - real(scores.at(std::to_string(id)))) <= tolerance_);
  const auto found_states = subject_.states();
  const auto& states = expected.at("states").as_array("states");
  REQUIRE(found_states.size() == states.size());
  for (size_t i = 0; i < states.size(); i++) {
    CHECK(found_states[i].ids() == ints(states[i].at("obj_ids")));
    std::vector<std::vector<int64_t>> buckets;
    for (const Json& bucket : states[i].at("assignments").as_array("buckets")) buckets.push_back(ints(bucket));
    CHECK(found_states[i].indices() == buckets);
  }
}

void MultiplexReplay::check_output(size_t op, int64_t frame, const std::vector<TrackedObject>& found) {
  const Json& expected = run_.at("outputs").as_array("outputs").at(shown_);
  const std::string key = name_ + ".out." + std::to_string(shown_++) + ".";
  CAPTURE(key);
  REQUIRE(expected.at("op").as_int("op") == static_cast<int64_t>(op));
  REQUIRE(expected.at("frame").as_int("frame") == frame);
  std::vector<int64_t> ids;
  for (const auto& object : found) ids.push_back(object.id);
  CHECK_MESSAGE(ids == ints(expected.at("obj_ids")), text_of(ids) << text_of(ints(expected.at("obj_ids"))));
  if (ids != ints(expected.at("obj_ids"))) return;
  const FrameRecord& record = *stage_.find(frame);
  if (const Json* stats = expected.find("stats")) {  // what is shown a second time has none
    CHECK(record.tracked == stats->at("num_obj_tracked").as_int("tracked"));
    CHECK(record.dropped == stats->at("num_obj_dropped").as_int("dropped"));
  }
  const auto areas = ints(expected.at("area"));
  const auto& digests = expected.at("crc").as_array("digests");
  const auto w = static_cast<float>(size_.width), h = static_cast<float>(size_.height);
  for (size_t i = 0; i < found.size(); i++) {
    const auto row = static_cast<int64_t>(i);
    if (subject_.is_exact()) {
      CHECK(found[i].mask.area == areas[i]);
      CHECK(sha256(packed(found[i].mask)).substr(0, 12) == digests[i].as_string("digest"));
    } else {  // a pixel in a thousand may fall on the other side of zero
      const auto most = static_cast<double>(size_.width * size_.height) / 1000;
      CHECK(std::abs(static_cast<double>(found[i].mask.area) - static_cast<double>(areas[i])) <= most);
      if (tensors_.has(key + "masks.bits")) {
        const MaskBits recorded = bits_from_packed(tensors_.at(key + "masks.bits"), size_.height, size_.width),
                       ours = bits_of(found[i].mask, size_.height, size_.width);
        int64_t other = 0;
        for (int64_t at = 0; at < size_.height * size_.width; at++)
          other +=
              ours.get(0, at / size_.width, at % size_.width) != recorded.get(row, at / size_.width, at % size_.width);
        CHECK(static_cast<double>(other) <= most);
      }
    }
    if (!tensors_.has(key + "probs")) continue;
    CHECK(std::abs(found[i].score - tensors_.at(key + "probs")[row].item<float>()) <= tolerance_);
    const at::Tensor box = tensors_.at(key + "boxes_xywh")[row];
    const auto& [left, top, right, bottom] = found[i].box;
    const auto near = [&](float ours, int64_t side, float pixels) {
      CHECK(std::abs(ours - box[side].item<float>()) <= (subject_.is_exact() ? 0.0f : 1.5f / pixels));
    };
    near(left / w, 0, w);
    near(top / h, 1, h);
    near(std::max(0, right - left - 1) / w, 2, w);
    near(std::max(0, bottom - top - 1) / h, 3, h);
  }
}

// Row-major bits, most significant first.
std::vector<uint8_t> MultiplexReplay::packed(const MaskRuns& mask) const {
  const MaskBits bits = bits_of(mask, size_.height, size_.width);
  std::vector<uint8_t> out((size_.height * size_.width + 7) / 8);
  for (int64_t at = 0; at < size_.height * size_.width; at++)
    if (bits.get(0, at / size_.width, at % size_.width)) out[at / 8] |= static_cast<uint8_t>(128 >> at % 8);
  return out;
}

}  // namespace sam3::test
