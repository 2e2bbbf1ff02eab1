// The rules of SAM 3.1 against whole runs of the reference whose detector and tracker gave prescribed masks: every
// decision, everything that is remembered, and every result must be the same.
#include <ATen/ATen.h>
#include <doctest/doctest.h>

#include <algorithm>

#include "support/golden.h"
#include "support/multiplex_replay.h"
#include "support/sha256.h"
#include "support/support.h"
#include "support/video_golden.h"
#include "video/session/action_history.h"

using namespace sam3;
using namespace sam3::test;

namespace {

constexpr float kNothing = -8.0f;  // logit of a track that the run does not prescribe on a frame

// Gives the recorded masks and scores of every object, and puts objects into slots.
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
  void recondition(int64_t, const std::vector<int64_t>&, const at::Tensor&) override {}
  void update_memories(int64_t, const at::Tensor&) override {}
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

 private:
  std::vector<int64_t> ids_;
  int64_t slots_;
  const Json& run_;
  const GoldenTensors& tensors_;
  std::string name_;
  int64_t side_;
};

class CraftedSubject final : public ReplaySubject {
 public:
  CraftedSubject(const Json& run, const GoldenTensors& tensors, const std::string& name, int64_t side)
      : tracker_(run, tensors, name, side) {}
  MaskletTracker& tracker() override { return tracker_; }
  std::vector<SlotAssignment> states() const override { return tracker_.states; }
  void open(int64_t) override {}
  ConceptDetections detect(int64_t, bool, const MultiplexRules&) override {
    FAIL("every detection is prescribed");
    return {};
  }
  bool is_exact() const override { return true; }

 private:
  CraftedTracker tracker_;
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
    CraftedSubject subject(run, tensors, name, side);
    MultiplexReplay(name, run, tensors, {.width = width, .height = height}, side, MultiplexReplay::options_of(run),
                    subject)
        .play();
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
