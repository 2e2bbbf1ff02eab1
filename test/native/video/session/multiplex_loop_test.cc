// SAM 3.1's loop against the recorded runs of the reference whose tracker, and mostly whose detector, is the network:
// decisions and states of every frame, and results; with clicks and removal, what is shown.
#include <ATen/ATen.h>
#include <doctest/doctest.h>

#include <algorithm>
#include <functional>
#include <map>
#include <string>

#include "core/error.h"
#include "support/golden.h"
#include "support/multiplex_replay.h"
#include "support/support.h"
#include "support/video_golden.h"
#include "video/concepts/concept_detector.h"
#include "video/session/concept_group.h"
#include "video/tracker/multiplex_tracker.h"

using namespace sam3;
using namespace sam3::test;

namespace {

const Json& recorded_runs() {
  static const Json runs = multiplex_golden().cases("video");
  return runs;
}

const GoldenTensors& recorded_tensors() {
  static const GoldenTensors tensors(multiplex_golden(), "video");
  return tensors;
}

ImageModel& model_of(const Json& run) {
  static std::map<int64_t, std::unique_ptr<ImageModel>> models;
  const int64_t slots = run.at("S").as_int("S");
  auto& model = models[slots];
  if (!model) model = load_multiplex(slots);
  return *model;
}

const at::Tensor& clip() {
  static const at::Tensor frames = multiplex_clip();
  return frames;
}

bool repaired(const Json& run) {
  const Json* repair = run.find("repair");
  return repair && is_text(*repair);
}

bool has_op(const Json& run, const std::string& name) {
  const auto& ops = run.at("ops").as_array("ops");
  return std::any_of(ops.begin(), ops.end(), [&](const Json& op) { return op.at("op").as_string("op") == name; });
}

// What a `prompt` of a run asks for. Without a text the reference hands the network what it puts in the place of one.
ConceptPrompt prompt_of(const Json& op) {
  ConceptPrompt prompt;
  const Json* text = op.find("text");
  prompt.ids = token_ids(text ? text->as_string("text") : "<text placeholder>");
  prompt.has_text = text != nullptr;
  if (const Json* boxes = op.find("boxes"))
    for (const Json& box : boxes->as_array("boxes")) {
      const auto corner = floats(box);  // x, y, width, height
      for (const float x : {corner[0], corner[1], corner[0] + corner[2], corner[1] + corner[3]})
        prompt.boxes.push_back(x);
    }
  if (const Json* labels = op.find("labels")) prompt.labels = ints(*labels);
  return prompt;
}

TrackerOptions tracker_options(const Json& run) {
  TrackerOptions options;
  options.keep_last_cond_frame = repaired(run);
  return options;
}

void open_frame(FrameStore& frames, int64_t frame) {
  const at::Tensor image = clip()[frame];
  const RgbImage raw{image.const_data_ptr<uint8_t>(), image.size(1), image.size(0)};
  frames.open(frame, &raw, {});
}

// The true tracker, but for the masks and scores that a run prescribes of some objects.
class CraftedTracks final : public MaskletTracker {
 public:
  CraftedTracks(MultiplexTracker& inner, const Json& run, std::string name, int64_t side)
      : inner_(inner), run_(run), name_(std::move(name)), side_(side) {}
  std::vector<int64_t> object_ids() const override { return inner_.object_ids(); }
  Propagated propagate(int64_t frame, bool reverse) override {
    Propagated found = inner_.propagate(frame, reverse);
    const Json* crafted = run_.find("crafted");
    const Json* tracks = crafted ? crafted->find("trk") : nullptr;
    if (!tracks || tracks->as_object("tracks").empty()) return found;
    found.masks = at::full_like(found.masks, kNothing);
    found.object_logits = at::full_like(found.object_logits, -10.0f);
    const auto ids = object_ids();
    for (size_t i = 0; i < ids.size(); i++) {
      const Json* listed = tracks->find(std::to_string(ids[i]));
      const auto frames = listed ? ints(*listed) : std::vector<int64_t>{};
      const auto place = std::find(frames.begin(), frames.end(), frame) - frames.begin();
      if (place == static_cast<int64_t>(frames.size())) continue;
      const std::string key = name_ + ".crafted_trk." + std::to_string(ids[i]);
      const auto one = [&](const char* part) { return recorded_tensors().at(key + part).narrow(0, place, 1); };
      found.masks[static_cast<int64_t>(i)] = logits_of(one(".bits"), one(".values"), side_)[0];
      found.object_logits[static_cast<int64_t>(i)] = one(".scores")[0];
    }
    found.host_masks = found.masks.cpu();
    return found;
  }
  void recondition(int64_t frame, const std::vector<int64_t>& objects, const at::Tensor& masks) override {
    inner_.recondition(frame, objects, masks);
  }
  void update_memories(int64_t frame, const at::Tensor& masks) override { inner_.update_memories(frame, masks); }
  void add_objects(int64_t frame, const std::vector<int64_t>& ids, const at::Tensor& masks) override {
    inner_.add_objects(frame, ids, masks);
  }
  void remove_objects(const std::vector<int64_t>& ids) override { inner_.remove_objects(ids); }

 private:
  static constexpr float kNothing = -8.0f;  // as in multiplex_logic_test.cc
  MultiplexTracker& inner_;
  const Json& run_;
  std::string name_;
  int64_t side_;
};

// The network itself. In a propagation the reference forgets the box of a prompt.
class NetworkSubject final : public ReplaySubject {
 public:
  NetworkSubject(const std::string& name, const Json& run)
      : model_(model_of(run)),
        frames_(model_, FrameFilter::bilinear, /*full_history=*/true),
        tracker_(model_, frames_, tracker_options(run), clip().size(2), clip().size(1), clip().size(0)),
        tracks_(tracker_, run, name, model_.mask_side()) {
    for (const Json& op : run.at("ops").as_array("ops"))
      if (op.at("op").as_string("op") == "prompt") prompt_ = prompt_of(op);
  }
  MaskletTracker& tracker() override { return tracks_; }
  std::vector<SlotAssignment> states() const override {
    std::vector<SlotAssignment> out;
    for (const MultiplexState& state : tracker_.buckets()) out.push_back(state.slots());
    return out;
  }
  void open(int64_t frame) override { open_frame(frames_, frame); }
  ConceptDetections detect(int64_t frame, bool prompted, const MultiplexRules& rules) override {
    ConceptPrompt prompt = prompt_;
    if (!prompted) prompt.boxes.clear(), prompt.labels.clear();
    return detect_concepts(model_, frames_.detector(frame), {&prompt}, rules, prompted, {})[0];
  }
  bool is_exact() const override { return false; }

 private:
  ImageModel& model_;
  FrameStore frames_;
  MultiplexTracker tracker_;
  CraftedTracks tracks_;
  ConceptPrompt prompt_;
};

}  // namespace

TEST_CASE("golden multiplex loop: every decision, state and result of the runs without clicks") {
  const auto [width, height] = multiplex_clip_size();
  bool replayed = false;
  for (const auto& [name, run] : recorded_runs().as_object("runs")) {
    if (name.starts_with("logic_") || has_op(run, "points") || has_op(run, "remove")) continue;
    CAPTURE(name);
    NetworkSubject subject(name, run);
    MultiplexReplay(name, run, recorded_tensors(), {.width = width, .height = height}, model_of(run).mask_side(),
                    MultiplexReplay::options_of(run), subject)
        .play();
    replayed = true;
  }
  CHECK(replayed);
}

namespace {

// A run with clicks or removal, through the groups of a session: what is shown after every step.
class ClickedRun {
 public:
  ClickedRun(const std::string& name, const Json& run)
      : name_(name),
        run_(run),
        model_(model_of(run)),
        options_(options_of(run)),
        frames_(model_, FrameFilter::bilinear, /*full_history=*/true),
        context_{model_, frames_, options_, std::make_shared<MultiplexRules>(options_.concepts)} {}

  void play() {
    const auto& ops = run_.at("ops").as_array("ops");
    for (size_t op = 0; op < ops.size(); op++) {
      CAPTURE(op);
      const std::string& what = ops[op].at("op").as_string("op");
      if (ops[op].find("error")) {
        const std::string code = code_of([&] { run(op, what, ops[op]); });
        CHECK_MESSAGE(code == (what == "points" ? "ERR_INVALID_ARGUMENT" : "ERR_INFERENCE"), code);
        break;
      }
      run(op, what, ops[op]);
    }
    CHECK(shown_ == run_.at("outputs").as_array("outputs").size());
  }

 private:
  static std::string code_of(const std::function<void()>& body) {
    try {
      body();
    } catch (const sam3::Error& e) {
      return name_of(e.code());
    }
    return "";
  }

  void run(size_t op, const std::string& what, const Json& about) {
    if (what == "propagate") return propagate(op, about);
    const int64_t frame = about.at("frame").as_int("frame");
    open_frame(frames_, frame);
    if (what == "prompt") {
      group_ = std::make_unique<ConceptGroup>(context_, 0, prompt_of(about), frame);
      static_cast<ConceptGroup&>(*group_).start(detections(frame, /*prompted=*/true));
    } else if (what == "points") {
      click(frame, about);
    } else {
      REQUIRE(what == "remove");
      group_->remove_object(about.at("obj_id").as_int("object"));
    }
    check(op, frame, group_->look(frame));
  }

  static VideoOptions options_of(const Json& run) {
    VideoOptions options = VideoOptions::of_multiplex();
    options.concepts = MultiplexReplay::options_of(run);
    options.tracker = tracker_options(run);
    options.full_history = true;
    // As the reference does, failures included.
    options.concepts.follow_clicks_without_text = options.concepts.compute_missing_frames = false;
    options.concepts.repeat_clicks_after_tracking = options.concepts.track_last_of_max_frames = false;
    options.width = clip().size(2), options.height = clip().size(1), options.num_frames = clip().size(0);
    return options;
  }

  ConceptDetections detections(int64_t frame, bool prompted) {
    std::vector<int64_t> queries;
    const MultiplexRules rules(options_.concepts);
    return crafted_detections(recorded_tensors(), name_, frame, prompted, rules, model_.mask_side(),
                              c10::Device(test_device()), &queries);
  }

  void click(int64_t frame, const Json& op) {
    if (!group_) group_ = std::make_unique<ConceptGroup>(context_, -1, ConceptPrompt(), frame);
    ClickPrompt input;
    for (const Json& point : op.at("points").as_array("points"))
      for (const float x : floats(point)) input.points.push_back(x);
    input.labels = ints(op.at("labels"));
    input.clear_old_points = op.find("clear") == nullptr;
    group_->add_points(frame, op.at("obj_id").as_int("object"), input);
  }

  void propagate(size_t op, const Json& about) {
    const int64_t start = about.at("start").as_int("start");
    const GroupRun run = group_->plan({about.find("reverse") != nullptr, start, {}});
    group_->begin(run);
    PendingFrames pending;
    pending.begin(group_->delay());
    const auto show = [&](const std::vector<int64_t>& ready) {
      for (const int64_t frame : ready) check(op, frame, group_->finalise(frame));
    };
    for (int64_t frame = run.first; run.reverse ? frame >= run.last : frame <= run.last;
         frame += run.reverse ? -1 : 1) {
      open_frame(frames_, frame);
      group_->step(frame, group_->prompt_on(frame) ? detections(frame, /*prompted=*/false) : none());
      show(pending.push(frame, frame == run.last));
      group_->tidy(frame, {pending.frames().begin(), pending.frames().end()});
    }
    group_->end();
  }

  ConceptDetections none() const {
    const int64_t side = model_.mask_side();
    const at::Tensor masks = at::empty({0, side, side});
    return context_.rules->keep({}, {}, masks.to(c10::Device(test_device())), MaskBits::above_zero(masks), false);
  }

  void check(size_t op, int64_t frame, const std::vector<TrackedObject>& found) {
    const Json& expected = run_.at("outputs").as_array("outputs").at(shown_);
    const std::string key = name_ + ".out." + std::to_string(shown_++) + ".";
    CAPTURE(key);
    REQUIRE(expected.at("op").as_int("op") == static_cast<int64_t>(op));
    REQUIRE(expected.at("frame").as_int("frame") == frame);
    const auto ids = ints(expected.at("obj_ids")), areas = ints(expected.at("area"));
    const auto text = [](const std::vector<TrackedObject>& objects) {
      std::vector<int64_t> all;
      for (const auto& object : objects) all.push_back(object.id);
      return all;
    };
    CHECK_MESSAGE(text(found) == ids, text_of(text(found)) << text_of(ids));
    if (text(found) != ids) return;
    const int64_t height = clip().size(1), width = clip().size(2), most = height * width / 1000;
    for (size_t i = 0; i < ids.size(); i++) {
      const auto row = static_cast<int64_t>(i);
      CHECK(std::abs(found[i].mask.area - areas[i]) <= most);
      if (recorded_tensors().has(key + "probs"))
        CHECK(std::abs(found[i].score - recorded_tensors().at(key + "probs")[row].item<float>()) <= 2e-4);
      if (recorded_tensors().has(key + "masks.bits")) {
        const at::Tensor recorded = recorded_tensors().masks(key + "masks", height, width)[row];
        CHECK(recorded.ne(pixels(found[i].mask)).sum().item<int64_t>() <= most);
      }
    }
  }

  at::Tensor pixels(const MaskRuns& mask) const {
    const int64_t height = clip().size(1), width = clip().size(2);
    const MaskBits bits = bits_of(mask, height, width);
    at::Tensor out = at::zeros({height, width}, at::kBool);
    for (int64_t y = 0; y < height; y++)
      for (int64_t x = 0; x < width; x++) out[y][x] = bits.get(0, y, x);
    return out;
  }

  std::string name_;
  const Json& run_;
  ImageModel& model_;
  VideoOptions options_;
  FrameStore frames_;
  SessionContext context_;
  std::unique_ptr<ObjectGroup> group_;
  size_t shown_ = 0;
};

}  // namespace

TEST_CASE("golden multiplex loop: what is shown with clicks and removal") {
  bool replayed = false;
  for (const auto& [name, run] : recorded_runs().as_object("runs")) {
    if (!has_op(run, "points") && !has_op(run, "remove")) continue;
    CAPTURE(name);
    ClickedRun(name, run).play();
    replayed = true;
  }
  CHECK(replayed);
}
