// The concept logic against whole runs of the reference whose detector and tracker gave prescribed masks: every
// decision, everything that is remembered, and every result must be the same.
#include <ATen/ATen.h>
#include <doctest/doctest.h>

#include <algorithm>

#include "core/error.h"
#include "support/golden.h"
#include "support/support.h"
#include "support/video_golden.h"
#include "support/video_plan_checks.h"
#include "video/concepts/concept_state.h"
#include "video/concepts/occlusion.h"
#include "video/session/output_stage.h"

using namespace sam3;
using namespace sam3::test;

namespace {

// Gives the recorded masks and scores of every object, and notes what it is asked.
class CraftedTracker final : public MaskletTracker {
 public:
  explicit CraftedTracker(const SafetensorsFile& golden) : golden_(golden) {}

  std::vector<int64_t> object_ids() const override {
    std::vector<int64_t> out;
    for (const auto& bucket : buckets_) out.insert(out.end(), bucket.begin(), bucket.end());
    return out;
  }
  Propagated propagate(int64_t frame, bool) override {
    std::vector<at::Tensor> masks, scores;
    for (const int64_t id : object_ids()) {
      const std::string key = "crafted_trk." + std::to_string(id);
      masks.push_back(golden_.read(key + ".masks")[frame].to(at::kFloat));
      scores.push_back(golden_.read(key + ".scores")[frame]);
    }
    const at::Tensor all = at::stack(masks);
    return {all, at::stack(scores), all};
  }
  void recondition(int64_t, const std::vector<int64_t>& objects, const at::Tensor& masks) override {
    CHECK(masks.size(0) == static_cast<int64_t>(objects.size()));
    reconditioned.insert(reconditioned.end(), objects.begin(), objects.end());
  }
  void update_memories(int64_t, const at::Tensor& masks) override {
    CHECK(masks.size(0) == static_cast<int64_t>(object_ids().size()));
    remembered = masks;
  }
  void add_objects(int64_t, const std::vector<int64_t>& ids, const at::Tensor& masks) override {
    CHECK(masks.size(0) == static_cast<int64_t>(ids.size()));
    buckets_.push_back(ids);
  }
  void remove_objects(const std::vector<int64_t>& ids) override {
    for (auto& bucket : buckets_)
      std::erase_if(bucket, [&](int64_t id) { return std::find(ids.begin(), ids.end(), id) != ids.end(); });
    std::erase_if(buckets_, [](const auto& bucket) { return bucket.empty(); });
  }

  std::vector<int64_t> reconditioned;
  at::Tensor remembered;

 private:
  const SafetensorsFile& golden_;
  std::vector<std::vector<int64_t>> buckets_;
};

void check_detections(const ConceptDetections& found, const SafetensorsFile& golden, const std::string& key) {
  const at::Tensor scores = golden.read(key + "det_scores"), boxes = golden.read(key + "det_boxes_xyxy");
  REQUIRE(static_cast<int64_t>(found.scores.size()) == scores.size(0));
  for (int64_t i = 0; i < scores.size(0); i++) {
    CHECK(found.scores[i] == scores[i].item<float>());
    for (int64_t c = 0; c < 4; c++) CHECK(found.boxes[i][c] == boxes[i][c].item<float>());
  }
}

void check_output(const std::vector<TrackedObject>& found, const SafetensorsFile& golden, const std::string& key,
                  const OutputRules& size) {
  const at::Tensor ids = golden.read(key + "obj_ids"), probs = golden.read(key + "probs"),
                   boxes = golden.read(key + "boxes_xywh"), areas = golden.read(key + "masks.area");
  std::vector<int64_t> shown, expected;
  for (const auto& object : found) shown.push_back(object.id);
  for (int64_t i = 0; i < ids.size(0); i++) expected.push_back(ids[i].item<int64_t>());
  CHECK_MESSAGE(shown == expected, key << " " << text_of(shown) << " " << text_of(expected));
  if (shown != expected) return;
  const MaskBits masks = bits_from_packed(golden.read(key + "masks.bits"), size.height, size.width);
  for (size_t i = 0; i < found.size(); i++) {
    const auto row = static_cast<int64_t>(i);
    const auto& [left, top, right, bottom] = found[i].box;
    CHECK(found[i].score == probs[row].item<float>());
    const auto w = static_cast<float>(size.width), h = static_cast<float>(size.height);
    CHECK(left / w == boxes[row][0].item<float>());
    CHECK(top / h == boxes[row][1].item<float>());
    CHECK(std::max(0, right - left - 1) / w == boxes[row][2].item<float>());
    CHECK(std::max(0, bottom - top - 1) / h == boxes[row][3].item<float>());
    CHECK(found[i].mask.area == areas[row].item<int64_t>());
    CHECK(same_mask(bits_of(found[i].mask, size.height, size.width), 0, masks, row));
  }
}

// One recorded run of the reference, step by step.
void replay(const Json& run, const SafetensorsFile& golden, const OutputRules& size, int64_t num_frames, int64_t side) {
  const std::string name = run.at("name").as_string("name"), key = name + "." + run.at("variant").as_string("v");
  CAPTURE(name);
  ConceptOptions options;
  apply(options, run.at("overrides"));
  const bool reverse = run.at("reverse").as_bool("reverse");
  const auto& internals = run.at("internals").as_array("internals");
  const auto& outputs = run.at("outputs").as_array("outputs");

  CraftedTracker tracker(golden);
  ConceptState state(options, tracker);
  OutputStage stage(size);
  PendingFrames pending;
  int64_t next_id = 0;
  size_t step = 0, shown = 0;

  const auto process = [&](int64_t frame, bool backward) {
    const Json& expected = internals.at(step);
    const std::string inner = key + ".internal." + numbered(static_cast<int64_t>(step)) + ".";
    CAPTURE(inner);
    step++;
    REQUIRE(expected.at("frame").as_int("frame") == frame);
    const auto detections = crafted_detections(golden, frame, options);
    check_detections(detections, golden, inner);
    tracker.reconditioned.clear();
    const FramePlan plan = state.step(frame, backward, detections, next_id);
    check_plan(plan, expected);
    CHECK(tracker.reconditioned == plan.reconditioned);
    check_metadata(state.metadata(), next_id, expected.at("metadata"), 0);
    // Masks after the repair: those that occlusion suppressed are gone from ours by now.
    const at::Tensor packed = golden.read(inner + "trk_low_res_after_fill.bits");
    const MaskBits repaired = bits_from_packed(packed, side, side);
    REQUIRE(repaired.count() == plan.masks.count());
    for (int64_t i = 0; i < repaired.count(); i++)
      if (plan.suppressed.empty() || !plan.suppressed[i]) CHECK(same_mask(plan.masks.bits(), i, repaired, i));
    if (repaired.count() > 0) CHECK(at::equal(tracker.remembered, plan.masks.host()));
    FrameRecord record = record_of(plan, detections, state.metadata(), options, size);
    std::vector<int64_t> hidden;
    if (const Json* frames = expected.at("metadata").at("suppressed_obj_ids").find(std::to_string(frame)))
      hidden = ints(*frames);
    stage.store(frame, std::move(record));
    CHECK(listed(stage.find(frame)->hidden) == hidden);
    if (options.masklet_confirmation_enable && options.hotstart_delay > 0)
      stage.note_unconfirmed(frame, state.metadata().confirmation.unconfirmed(state.metadata().ids));
  };
  const auto check = [&](int64_t frame, const std::vector<TrackedObject>& found, const FrameRecord& record) {
    const Json& expected = outputs.at(shown);
    REQUIRE(expected.at("frame").as_int("frame") == frame);
    check_output(found, golden, key + ".out." + numbered(static_cast<int64_t>(shown)) + ".", size);
    CHECK(record.tracked == expected.at("frame_stats").at("num_obj_tracked").as_int("tracked"));
    CHECK(record.dropped == expected.at("frame_stats").at("num_obj_dropped").as_int("dropped"));
    shown++;
  };

  const int64_t start = run.at("start").as_int("start");
  process(start, false);
  check(start, stage.look(start), *stage.find(start));
  stage.forget_unconfirmed();
  pending.begin(options.hotstart_delay);
  const int64_t last = reverse ? 0 : num_frames - 1;
  for (int64_t frame = reverse ? start - 1 : start; reverse ? frame >= last : frame <= last;
       frame += reverse ? -1 : 1) {
    process(frame, reverse);
    for (const int64_t ready : pending.push(frame, frame == last)) {
      const FrameRecord record = *stage.find(ready);
      const auto found = stage.finalise(ready, state.metadata().hotstart.removed,
                                        options.masklet_confirmation_consecutive_det_thresh - 1, reverse, num_frames);
      check(ready, found, record);
    }
  }
  CHECK(step == internals.size());
  CHECK(shown == outputs.size());
}

}  // namespace

TEST_CASE("golden concept logic: every decision of the recorded runs") {
  const auto recording = golden_cases("text_video");
  if (!recording) return;
  const GoldenTensors tensors(golden_model(), "text_video");
  const OutputRules size{recording->at("video_width").as_int("width"), recording->at("video_height").as_int("height")};
  const int64_t frames = recording->at("num_frames").as_int("frames"), side = recording->at("low_res").as_int("side");
  bool replayed = false;
  for (const Json& run : recording->at("runs").as_array("runs")) {
    if (!run.at("crafted_trk").as_bool("crafted")) continue;
    replay(run, tensors.file(), size, frames, side);
    replayed = true;
  }
  if (!replayed) left_out("run of text_video with prescribed masks of the tracker");
}

// Frames without detections, and detections without masks above the thresholds.
TEST_CASE("concept logic: frames on which nothing is found") {
  const GoldenTensors tensors(test_model(), "text_video");
  CraftedTracker tracker(tensors.file());
  ConceptState state({}, tracker);
  int64_t next_id = 0;
  const ConceptDetections none = keep_detections({}, {}, at::empty({0, 48, 48}), {});
  CHECK(state.step(0, false, none, next_id).new_ids.empty());
  CHECK(state.step(1, false, crafted_detections(tensors.file(), 1, {}), next_id).new_ids.size() > 0);
  const auto plan = state.step(2, false, none, next_id);
  CHECK(plan.association.unmatched.size() + plan.association.empty.size() == plan.masklets.size());
  CHECK(plan.association.confident.empty());
}

TEST_CASE("concept logic: a tracker that fails leaves everything as it was") {
  const GoldenTensors tensors(test_model(), "text_video");
  struct Failing final : MaskletTracker {
    explicit Failing(const SafetensorsFile& golden) : inner(golden) {}
    void fail(int at) {
      if (at == failing) throw sam3::Error(ERR_OUT_OF_MEMORY, "no memory");
    }
    std::vector<int64_t> object_ids() const override { return inner.object_ids(); }
    Propagated propagate(int64_t frame, bool reverse) override { return fail(1), inner.propagate(frame, reverse); }
    void recondition(int64_t frame, const std::vector<int64_t>& ids, const at::Tensor& masks) override {
      fail(2), inner.recondition(frame, ids, masks);
    }
    void update_memories(int64_t frame, const at::Tensor& masks) override {
      fail(3), inner.update_memories(frame, masks);
    }
    void add_objects(int64_t frame, const std::vector<int64_t>& ids, const at::Tensor& masks) override {
      fail(4), inner.add_objects(frame, ids, masks);
    }
    void remove_objects(const std::vector<int64_t>& ids) override { inner.remove_objects(ids); }
    CraftedTracker inner;
    int failing = 0;
  };
  Failing tracker(tensors.file());
  ConceptState state({}, tracker);
  int64_t next_id = 0;
  state.step(0, false, crafted_detections(tensors.file(), 0, {}), next_id);
  for (int64_t frame = 0; frame < 8; frame++) {
    const auto detections = crafted_detections(tensors.file(), frame, {});
    for (int at = 1; at <= 4; at++) {
      tracker.failing = at;
      const auto ids = state.metadata().ids;
      const auto alive = state.metadata().hotstart.keep_alive;
      const int64_t id = next_id;
      try {
        state.step(frame, false, detections, next_id);
        break;  // this frame has no such step
      } catch (const sam3::Error& e) {
        CHECK(e.code() == ERR_OUT_OF_MEMORY);
      }
      CHECK(state.metadata().ids == ids);
      CHECK(state.metadata().hotstart.keep_alive == alive);
      CHECK(next_id == id);
    }
  }
}
