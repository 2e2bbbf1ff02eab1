// SAM 3.1's tracker against the recorded runs of the reference: masks, later additions, removal, corrections, both
// directions, clicks, buckets.
#include <ATen/ATen.h>
#include <doctest/doctest.h>

#include <algorithm>
#include <map>

#include "support/golden.h"
#include "support/near_ties.h"
#include "support/support.h"
#include "support/video_golden.h"
#include "video/tracker/multiplex_tracker.h"

using namespace sam3;
using namespace sam3::test;

namespace {

constexpr double kLogitTolerance = 2e-3, kTolerance = 2e-4;

// One recorded run, step by step.
class Replay {
 public:
  Replay(ImageModel& model, const GoldenTensors& tensors, std::string name, const Json& run)
      : model_(model),
        tensors_(tensors),
        name_(std::move(name)),
        run_(run),
        images_(multiplex_clip()),
        frames_(model, FrameFilter::bilinear, /*full_history=*/true),
        tracker_(model, frames_, TrackerOptions{}, images_.size(2), images_.size(1), images_.size(0)) {}

  void play() {
    const auto& steps = run_.at("steps").as_array("steps");
    // The step that grows a state by a bucket breaks the reference's next frame.
    const bool grows = run_.find("error_next_propagation") != nullptr;
    for (size_t i = 0; i < steps.size(); i++) {
      const Json& step = steps[i];
      key_ = name_ + "." + std::to_string(i) + ".";
      CAPTURE(key_);
      frame_ = step.at("frame").as_int("frame");
      open(frame_);
      if (grows && i + 1 == steps.size()) return go_on(step);
      const std::string& op = step.at("op").as_string("op");
      Propagated found;
      if (op == "propagate")
        found = tracker_.propagate_some(frame_, step.find("reverse") != nullptr, ints(step.at("obj_ids")));
      else
        run(op, step);
      check(i, step, op, found);
    }
  }

 private:
  void open(int64_t frame) {
    const at::Tensor image = images_[frame];
    const RgbImage raw{image.const_data_ptr<uint8_t>(), image.size(1), image.size(0)};
    frames_.open(frame, &raw, {});
  }

  MaskPrompts prompts(const Json& step) const {
    const Json& size = step.at("mask_size");
    std::vector<int64_t> sides;
    try {
      sides = ints(size);
    } catch (const JsonError&) {  // one number: a square
      sides.assign(2, size.as_int("size"));
    }
    const at::Tensor masks = tensors_.masks(name_ + "." + step.at("masks").as_string("masks"), sides[0], sides[1]);
    return prompts_of_masks(masks, model_.program().target().device, model_.grid(), images_.size(1), images_.size(2));
  }

  void run(const std::string& op, const Json& step) {
    const auto ids = step.find("ids") ? ints(step.at("ids")) : ints(step.at("obj_ids"));
    if (op == "add_masks") {
      tracker_.add_masks(frame_, ids, prompts(step));
    } else if (op == "recondition") {
      tracker_.correct_masks(frame_, ids, prompts(step));
    } else if (op == "remove") {
      tracker_.remove_objects(ids);
    } else if (op == "preflight") {
      tracker_.preflight(ids);
    } else {
      REQUIRE(op == "add_points");
      ClickPrompt click;
      for (const Json& point : step.at("points").as_array("points"))
        for (const float x : floats(point)) click.points.push_back(x);
      click.labels = ints(step.at("labels"));
      click.clear_old_points = step.find("clear_old_points") == nullptr;
      tracker_.add_points(frame_, ids[0], click);
    }
  }

  const MultiplexState& state_of(int64_t id) const {
    const auto& states = tracker_.buckets();
    const auto found =
        std::find_if(states.begin(), states.end(), [&](const auto& state) { return state.contains(id); });
    REQUIRE(found != states.end());
    return *found;
  }

  // Ours opens another state for what does not fit, and goes on.
  void go_on(const Json& step) {
    const auto ids = ints(step.at("ids"));
    const auto before = tracker_.object_ids();
    tracker_.add_masks(frame_, ids, prompts(step));
    CHECK(tracker_.object_ids() == ints(step.at("obj_ids")));
    CHECK(state_of(ids[0]).ids() == ids);
    open(frame_ + 1);
    const Propagated found = tracker_.propagate(frame_ + 1, false);
    CHECK(found.masks.size(0) == static_cast<int64_t>(before.size() + ids.size()));
  }

  // The recording of a frame's scores shows what the next step has made of them where that corrects the same frame.
  bool overwritten(size_t i) const {
    const auto& steps = run_.at("steps").as_array("steps");
    return i + 1 < steps.size() && steps[i + 1].at("op").as_string("op") == "recondition" &&
           steps[i + 1].at("frame").as_int("frame") == frame_;
  }

  void check(size_t i, const Json& step, const std::string& op, const Propagated& found) {
    const auto ids = ints(step.at("obj_ids"));
    const MultiplexState& state = state_of(ids[0]);
    CHECK(state.ids() == ids);
    std::vector<std::vector<int64_t>> buckets;
    for (const Json& bucket : step.at("assignments").as_array("buckets")) buckets.push_back(ints(bucket));
    CHECK(state.slots().indices() == buckets);

    Differences differences(op + " on frame " + std::to_string(frame_));
    if (op == "add_points") {  // not in memory yet
      const TrackerOptions options;
      MultiplexNetwork network(model_, frames_.clock());
      const BucketFrame shown = state.on_frame(
          {model_, frames_, network, options, images_.size(2), images_.size(1), images_.size(0)}, frame_);
      near(differences, "stored_low_res", shown.masks, kLogitTolerance);
      near(differences, "stored_obj_scores", shown.object_logits.unsqueeze(1), kTolerance);
      video(differences, shown.masks);
    } else {
      const SlotOutput* output = state.bank().find(frame_);
      REQUIRE(output);
      CHECK(state.bank().conditioning_frames() == ints(step.at("cond_frames")));
      CHECK((state.bank().conditioning(frame_) != nullptr) ==
            (step.at("stored_as").as_string("stored") == "cond_frame_outputs"));
      std::vector<int64_t> given;
      for (size_t k = 0; k < ids.size(); k++)
        if (output->conditioning.contains(ids[k])) given.push_back(static_cast<int64_t>(k));
      CHECK(given == ints(step.at("conditioning_objects")));
      near(differences, "stored_low_res", output->masks_of(ids), kLogitTolerance);
      if (!overwritten(i)) near(differences, "stored_obj_scores", output->logits_of(ids), kTolerance);
      near(differences, "obj_ptr", output->pointers, kTolerance);
      near(differences, "maskmem", output->memory, kTolerance);
    }
    if (found.masks.defined()) {
      near(differences, "low_res", found.masks, kLogitTolerance);
      if (!overwritten(i)) near(differences, "obj_scores", found.object_logits.unsqueeze(1), kTolerance);
      video(differences, found.masks);
      if (tensors_.has(key_ + "low_res.bits")) {
        const int64_t side = found.masks.size(1);
        same_pixels(differences, found.masks, tensors_.masks(key_ + "low_res", side, side));
      }
    }
    CHECK_MESSAGE(differences.found().empty(), differences.found());
  }

  // With what is recorded: all of it, and a sample of each row.
  void near(Differences& differences, const std::string& name, const at::Tensor& ours, double tolerance) const {
    if (tensors_.has(key_ + name)) differences.expect_near(ours.cpu(), tensors_.at(key_ + name), tolerance, name);
    if (!tensors_.has(key_ + name + ".sample64")) return;
    const at::Tensor flat = ours.cpu().to(at::kFloat).flatten(1), places = at::arange(64) * flat.size(1) / 64;
    differences.expect_near(flat.index_select(1, places.to(at::kLong)), tensors_.at(key_ + name + ".sample64"),
                            tolerance, name + ", sampled");
  }
  void video(Differences& differences, const at::Tensor& low) const {
    if (!tensors_.has(key_ + "video.bits")) return;
    const int64_t height = images_.size(1), width = images_.size(2);
    const at::Tensor full = at::upsample_bilinear2d(low.cpu().unsqueeze(1), {height, width}, false).squeeze(1);
    // A pixel of several objects is shown as that of the strongest.
    const at::Tensor strongest = full.eq(std::get<0>(full.max(0, /*keepdim=*/true)));
    same_pixels(differences, at::where(strongest, full, full.clamp_max(-10.0f)),
                tensors_.masks(key_ + "video", height, width));
  }
  // Pixels may differ only where the logit is so near to zero that rounding decides.
  static void same_pixels(Differences& differences, const at::Tensor& logits, const at::Tensor& expected) {
    const at::Tensor ours = logits.cpu();
    const auto wrong = ours.gt(0).ne(expected).logical_and(ours.abs() > kLogitTolerance);
    differences.expect(!wrong.any().item<bool>(), "pixels differ");
  }

  ImageModel& model_;
  const GoldenTensors& tensors_;
  std::string name_, key_;
  const Json& run_;
  at::Tensor images_;
  FrameStore frames_;
  MultiplexTracker tracker_;
  int64_t frame_ = 0;
};

}  // namespace

TEST_CASE("golden multiplex tracker: every recorded run of the reference, step by step") {
  const Json runs = multiplex_golden().cases("tracker");
  const GoldenTensors tensors(multiplex_golden(), "tracker");
  std::map<int64_t, std::unique_ptr<ImageModel>> models;
  for (const auto& [name, run] : runs.as_object("runs")) {
    CAPTURE(name);
    const int64_t slots = run.at("S").as_int("S");
    auto& model = models[slots];
    if (!model) model = load_multiplex(slots);
    Replay(*model, tensors, name, run).play();
  }
  CHECK_FALSE(models.empty());
}
