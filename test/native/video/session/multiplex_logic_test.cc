// The rules of SAM 3.1 against whole runs of the reference whose detector and tracker gave prescribed masks: every
// decision, everything that is remembered, and every result must be the same.
#include <ATen/ATen.h>
#include <doctest/doctest.h>

#include <algorithm>

#include "support/golden.h"
#include "support/sha256.h"
#include "support/support.h"
#include "support/video_golden.h"
#include "video/concepts/concept_state.h"
#include "video/concepts/multiplex_rules.h"
#include "video/session/action_history.h"
#include "video/session/output_stage.h"
#include "video/tracker/slot_assignment.h"

using namespace sam3;
using namespace sam3::test;

namespace {

constexpr float kNothing = -8.0f;  // logit of a track that the run does not prescribe on a frame
// The set keeps prescribed scores in float32; the reference was given them in float64.
constexpr float kRounding = 1.3e-7f;
constexpr int64_t kUnconfirmed = 1;

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

// Gives the recorded masks and scores of every object, puts objects into slots, and notes what it is asked.
class CraftedTracker final : public MaskletTracker {
 public:
  CraftedTracker(const Json& run, const GoldenTensors& tensors, std::string name, int64_t side)
      : slots_(run.at("S").as_int("S")), run_(run), tensors_(tensors), name_(std::move(name)), side_(side) {}

  std::vector<int64_t> object_ids() const override { return ids_; }
  Propagated propagate(int64_t frame, bool) override {
    at::Tensor masks = at::full({static_cast<int64_t>(ids_.size()), side_, side_}, kNothing);
    at::Tensor scores = at::full({masks.size(0)}, -10.0f);
    for (size_t i = 0; i < ids_.size(); i++) {
      const Json* listed = run_.at("crafted").at("trk").find(std::to_string(ids_[i]));
      const auto frames = listed ? ints(*listed) : std::vector<int64_t>{};
      const auto place = std::find(frames.begin(), frames.end(), frame) - frames.begin();
      if (place == static_cast<int64_t>(frames.size())) continue;
      const std::string key = name_ + ".crafted_trk." + std::to_string(ids_[i]);
      const auto one = [&](const char* part) { return tensors_.at(key + part).narrow(0, place, 1); };
      masks[static_cast<int64_t>(i)] = logits_of(one(".bits"), one(".values"), side_)[0];
      scores[static_cast<int64_t>(i)] = one(".scores")[0];
    }
    return {masks, scores, masks};
  }
  // The mask that a detection corrects is encoded again with all the others of its state.
  void recondition(int64_t, int64_t object, const at::Tensor&) override {
    for (const SlotAssignment& state : states)
      if (std::find(state.ids().begin(), state.ids().end(), object) != state.ids().end())
        touched.insert(state.ids().begin(), state.ids().end());
  }
  void update_memories(int64_t, const at::Tensor& masks) override { remembered = masks; }
  void add_objects(int64_t, const std::vector<int64_t>& ids, const at::Tensor&) override {
    ids_.insert(ids_.end(), ids.begin(), ids.end());
    if (const auto known = state_for(states, static_cast<int64_t>(ids.size())))
      states[*known].add(ids);
    else
      states.emplace_back(slots_, ids);
  }
  void remove_objects(const std::vector<int64_t>& ids) override {
    std::erase_if(ids_, [&](int64_t id) { return std::find(ids.begin(), ids.end(), id) != ids.end(); });
    for (SlotAssignment& state : states) state.remove(ids);
    std::erase_if(states, [](const SlotAssignment& state) { return state.ids().empty(); });
  }

  std::vector<SlotAssignment> states;
  std::set<int64_t> touched;
  at::Tensor remembered;

 private:
  std::vector<int64_t> ids_;
  int64_t slots_;
  const Json& run_;
  const GoldenTensors& tensors_;
  std::string name_;
  int64_t side_;
};

// One recorded run, step by step.
class Replay {
 public:
  Replay(const std::string& name, const Json& run, const GoldenTensors& tensors, const OutputRules& size, int64_t side)
      : name_(name),
        run_(run),
        tensors_(tensors),
        size_(size),
        frames_(run.at("frames").as_int("frames")),
        side_(side),
        tracker_(run, tensors, name, side),
        stage_(size) {
    apply(options_, run.at("overrides"), {"postprocess_batch_size"});  // that one is about when, not about what
    if (frames_ == 1) options_.new_det_thresh = options_.image_only_det_thresh;
    state_ = std::make_unique<ConceptState>(tracker_, std::make_shared<MultiplexRules>(options_));
  }

  void play() {
    const auto& ops = run_.at("ops").as_array("ops");
    for (size_t op = 0; op < ops.size(); op++) {
      CAPTURE(op);
      if (ops[op].at("op").as_string("op") == "prompt") {
        const int64_t frame = ops[op].at("frame").as_int("frame");
        process(frame, false, /*prompted=*/true);
        check_output(op, frame, stage_.look(frame));
        continue;
      }
      const int64_t start = ops[op].at("start").as_int("start");
      const bool reverse = ops[op].find("reverse") != nullptr;
      const bool fetch = ops[op].at("propagation_type").as_string("type") == "propagation_fetch";
      stage_.forget_unconfirmed();
      PendingFrames pending;
      pending.begin(options_.hotstart_delay);
      const int64_t last = reverse ? 0 : frames_ - 1;
      for (int64_t frame = reverse ? start - 1 : start; reverse ? frame >= 0 : frame < frames_;
           frame += reverse ? -1 : 1) {
        if (fetch) {
          check_output(op, frame, stage_.look(frame));
          continue;
        }
        process(frame, reverse, false);
        for (const int64_t ready : pending.push(frame, frame == last))
          check_output(
              op, ready,
              stage_.finalise(ready, {}, options_.masklet_confirmation_consecutive_det_thresh - 1, reverse, frames_));
      }
    }
    CHECK(step_ == run_.at("internals").as_array("internals").size());
    CHECK(shown_ == run_.at("outputs").as_array("outputs").size());
  }

 private:
  // Every query of the network that is above the threshold; `queries_` says which are left.
  ConceptDetections detect(int64_t frame, bool prompted) {
    queries_.clear();
    const std::string key = name_ + ".crafted_det." + std::to_string(frame) + ".";
    if (!tensors_.has(key + "bits")) return keep_detections({}, {}, at::empty({0, side_, side_}), prompted, options_);
    const at::Tensor scores = tensors_.at(key + "scores"), boxes = tensors_.at(key + "boxes_xyxy");
    const at::Tensor masks = logits_of(tensors_.at(key + "bits"), tensors_.at(key + "values"), side_);
    std::vector<float> above;
    std::vector<std::array<float, 4>> corners;
    std::vector<int64_t> rows;
    for (int64_t i = 0; i < scores.size(0); i++) {
      if (!(scores[i].item<float>() > options_.score_threshold_detection)) continue;
      above.push_back(scores[i].item<float>());
      auto& box = corners.emplace_back();
      for (int64_t c = 0; c < 4; c++) box[c] = boxes[i][c].item<float>();
      rows.push_back(i);
    }
    const at::Tensor index = at::tensor(at::ArrayRef<int64_t>(rows));
    ConceptDetections found = keep_detections(above, corners, masks.index_select(0, index), prompted, options_);
    std::vector<bool> used(above.size());
    for (size_t i = 0; i < found.scores.size(); i++)
      for (size_t j = 0; j < above.size(); j++) {
        if (used[j] || above[j] != found.scores[i] || corners[j] != found.boxes[i]) continue;
        used[j] = true;
        queries_.push_back(rows[j]);
        break;
      }
    REQUIRE(queries_.size() == found.scores.size());
    return found;
  }

  void process(int64_t frame, bool reverse, bool prompted) {
    const Json& expected = run_.at("internals").as_array("internals").at(step_);
    const std::string inner = name_ + ".internal." + std::to_string(step_++) + ".";
    CAPTURE(inner);
    REQUIRE(expected.at("frame").as_int("frame") == frame);
    REQUIRE(expected.at("reverse").as_bool("reverse") == reverse);
    const ConceptDetections detections = detect(frame, prompted);
    const auto kept = static_cast<int64_t>(queries_.size()) - detections.at_edge;
    CHECK(std::vector<int64_t>(queries_.begin(), queries_.begin() + kept) == ints(expected.at("kept_queries")));
    tracker_.touched.clear();
    const FramePlan plan = state_->step(frame, reverse, detections, next_id_);
    check_plan(plan, expected, kept);
    check_state(expected);
    if (!plan.masklets.empty()) {
      const at::Tensor areas = tensors_.at(inner + "trk_area_after");
      for (int64_t i = 0; i < plan.masks.count(); i++) CHECK(plan.masks.bits().area(i) == areas[i].item<int64_t>());
      CHECK(at::equal(tracker_.remembered, plan.masks.device()));
    }
    stage_.store(frame, record_of(plan, detections, state_->metadata(), options_, size_));
    if (options_.masklet_confirmation_enable)
      stage_.note_unconfirmed(frame, state_->metadata().confirmation.unconfirmed(state_->metadata().ids));
  }

  void check_plan(const FramePlan& plan, const Json& expected, int64_t kept) const {
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
    CHECK(std::vector<int64_t>(tracker_.touched.begin(), tracker_.touched.end()) == ints(expected.at("reconditioned")));
  }

  void check_state(const Json& expected) const {
    const ConceptMetadata& found = state_->metadata();
    REQUIRE(found.ids == ints(expected.at("obj_ids")));
    const auto value = [](const auto& map, const auto& key, int64_t fallback) {
      const auto known = map.find(key);
      return known == map.end() ? fallback : static_cast<int64_t>(known->second);
    };
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
      CHECK(std::abs(score - real(scores.at(std::to_string(id)))) <= kRounding);
    const auto& states = expected.at("states").as_array("states");
    REQUIRE(tracker_.states.size() == states.size());
    for (size_t i = 0; i < states.size(); i++) {
      CHECK(tracker_.states[i].ids() == ints(states[i].at("obj_ids")));
      std::vector<std::vector<int64_t>> buckets;
      for (const Json& bucket : states[i].at("assignments").as_array("buckets")) buckets.push_back(ints(bucket));
      CHECK(tracker_.states[i].indices() == buckets);
    }
  }

  void check_output(size_t op, int64_t frame, const std::vector<TrackedObject>& found) {
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
      CHECK(found[i].mask.area == areas[i]);
      CHECK(sha256(packed(found[i].mask)).substr(0, 12) == digests[i].as_string("digest"));
      const auto row = static_cast<int64_t>(i);
      if (!tensors_.has(key + "probs")) continue;
      CHECK(std::abs(found[i].score - tensors_.at(key + "probs")[row].item<float>()) <= kRounding);
      const at::Tensor box = tensors_.at(key + "boxes_xywh")[row];
      const auto& [left, top, right, bottom] = found[i].box;
      CHECK(left / w == box[0].item<float>());
      CHECK(top / h == box[1].item<float>());
      CHECK(std::max(0, right - left - 1) / w == box[2].item<float>());
      CHECK(std::max(0, bottom - top - 1) / h == box[3].item<float>());
    }
  }

  // Row-major bits, most significant first.
  std::vector<uint8_t> packed(const MaskRuns& mask) const {
    const MaskBits bits = bits_of(mask, size_.height, size_.width);
    std::vector<uint8_t> out((size_.height * size_.width + 7) / 8);
    for (int64_t at = 0; at < size_.height * size_.width; at++)
      if (bits.get(0, at / size_.width, at % size_.width)) out[at / 8] |= static_cast<uint8_t>(128 >> at % 8);
    return out;
  }

  std::string name_;
  const Json& run_;
  const GoldenTensors& tensors_;
  OutputRules size_;
  int64_t frames_, side_;
  MultiplexOptions options_;
  CraftedTracker tracker_;
  std::unique_ptr<ConceptState> state_;
  OutputStage stage_;
  std::vector<int64_t> queries_;
  int64_t next_id_ = 0;
  size_t step_ = 0, shown_ = 0;
};

}  // namespace

TEST_CASE("golden multiplex logic: every decision of the recorded runs") {
  CHECK(sha256({'a', 'b', 'c'}).starts_with("ba7816bf8f01cfea"));
  const Json runs = multiplex_golden().cases("video");
  const GoldenTensors tensors(multiplex_golden(), "video");
  const Json config = Json::parse(read_file(multiplex_golden().root + "/model/config.json"));
  const int64_t side = config.at("low_res_mask_size").as_int("side");
  const auto [width, height] = multiplex_clip_size();
  bool replayed = false;
  for (const auto& [name, run] : runs.as_object("runs")) {
    if (!name.starts_with("logic_")) continue;
    CAPTURE(name);
    Replay(name, run, tensors, {.width = width, .height = height}, side).play();
    replayed = true;
  }
  CHECK(replayed);
}

// What a history of prompts and propagations makes of the next propagation is the same in SAM 3. Left out: cancelling,
// which ends a propagation here as its end does, and what is asked before the first propagation, where the reference
// shows results that there are not.
TEST_CASE("golden multiplex logic: what the next propagation computes") {
  size_t replayed = 0;
  const Json recorded = multiplex_golden().cases("heuristics");
  for (const Json& one : recorded.at("action_history").as_array("cases")) {
    ActionHistory history;
    bool known = true;
    std::string told;
    const auto objects_of = [](const Json& json) {
      try {
        return ints(json);
      } catch (const JsonError&) {  // null: all of them
        return std::vector<int64_t>{};
      }
    };
    const auto kind_of = [](const std::string& type) {
      return type == "propagation_full"      ? PropagationKind::full
             : type == "propagation_partial" ? PropagationKind::partial
                                             : PropagationKind::fetch;
    };
    for (const Json& action : one.at("history").as_array("actions")) {
      const std::string& type = action.at("type").as_string("type");
      const auto objects = objects_of(action.at("obj_ids"));
      told += type + " ";
      if (type == "propagation_cancel" || (!type.starts_with("propagation") && !history.was_propagated()))
        known = false;
      if (!known) break;
      if (type == "remove") {
        history.remove(objects.at(0));
      } else if (type == "add" || type == "refine") {
        history.click(objects.at(0), type == "add");
      } else {
        std::optional<int64_t> start;
        try {
          start = action.at("frame_idx").as_int("frame");
        } catch (const JsonError&) {  // null
        }
        history.begin({kind_of(type), objects}, start);
        history.finish();
      }
    }
    if (!known) continue;
    CAPTURE(told);
    const auto next = history.next(one.at("num_frames").as_int("frames"));
    CHECK(next.kind == kind_of(one.at("type").as_string("type")));
    CHECK(next.objects == objects_of(one.at("obj_ids")));
    replayed++;
  }
  CHECK(replayed > 0);
}
