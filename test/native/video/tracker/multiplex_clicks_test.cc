// SAM 3.1: what a click on an object of a text does to the frames that its state remembers.
#include <ATen/ATen.h>
#include <doctest/doctest.h>

#include <algorithm>
#include <vector>

#include "core/error.h"
#include "support/golden.h"
#include "support/support.h"
#include "video/tracker/multiplex_tracker.h"

using namespace sam3;
using namespace sam3::test;

namespace {

using Frames = std::vector<int64_t>;

// Three objects that were found on frame 0 and followed to frame 5.
class Followed {
 public:
  explicit Followed(const TrackerOptions& options = {})
      : model_(load_multiplex(4)),
        images_(multiplex_clip()),
        frames_(*model_, FrameFilter::bilinear, /*full_history=*/true),
        tracker_(*model_, frames_, options, images_.size(2), images_.size(1), images_.size(0)) {
    const int64_t side = model_->mask_side();
    at::Tensor masks = full({3, side, side}, -8.0f);
    for (int64_t i = 0; i < 3; i++) masks[i].narrow(0, 4 + 14 * i, 12).narrow(1, 4 + 10 * i, 14).fill_(8.0f);
    open(0);
    tracker_.add_objects(0, {0, 1, 2}, masks);
    for (int64_t frame = 1; frame < 6; frame++) track(frame);
  }

  // The mask of an object that is everywhere.
  at::Tensor everything() const { return full({1, model_->mask_side(), model_->mask_side()}, 8.0f); }
  void open(int64_t frame) {
    const at::Tensor image = images_[frame];
    const RgbImage raw{image.const_data_ptr<uint8_t>(), image.size(1), image.size(0)};
    frames_.open(frame, &raw, {});
  }
  void track(int64_t frame) {
    open(frame);
    tracker_.propagate_some(frame, /*reverse=*/false, tracker_.object_ids());
  }
  // As a session clicks on an object of a text.
  void click(int64_t frame, int64_t object) {
    open(frame);
    ClickPrompt input;
    input.points = {0.4, 0.4};
    input.labels = {1};
    tracker_.add_points(frame, object, input);
    tracker_.preflight({object});
    tracker_.clear_mask_prompts_around(frame, object, 16);
  }
  MultiplexTracker& tracker() { return tracker_; }
  const MultiplexState& state_of(int64_t object) const {
    const auto& states = tracker_.buckets();
    const auto found = std::find_if(states.begin(), states.end(), [&](const auto& s) { return s.contains(object); });
    REQUIRE(found != states.end());
    return *found;
  }

 private:
  at::Tensor full(at::IntArrayRef size, float value) const {
    return at::full(size, value, at::TensorOptions(at::kFloat).device(model_->program().target().device));
  }

  std::unique_ptr<ImageModel> model_;
  at::Tensor images_;
  FrameStore frames_;
  MultiplexTracker tracker_;
};

}  // namespace

// The recorded runs of clicks after a propagation have these frames.
TEST_CASE("multiplex clicks: the frame of the detection goes on conditioning, without its memory") {
  Followed followed;
  followed.click(3, 1);
  const auto of = [&](int64_t object) -> const MultiplexBank& { return followed.state_of(object).bank(); };
  CHECK(followed.state_of(1).ids() == Frames{1});
  CHECK(of(1).conditioning_frames() == Frames{0, 3});
  CHECK_FALSE(of(1).find(0)->memory.defined());
  CHECK(of(1).find(0)->pointers.defined());
  CHECK(of(1).find(3)->memory.defined());
  CHECK(followed.state_of(1).mask_frames(1).empty());  // no input any more
  CHECK(followed.state_of(0).ids() == Frames{0, 2});
  CHECK(of(0).conditioning_frames() == Frames{0});
  CHECK(of(0).find(0)->memory.defined());

  followed.click(5, 1);
  CHECK(of(1).conditioning_frames() == Frames{0, 3, 5});
  // A prompt that is taken back leaves the others, and the detection.
  followed.tracker().clear_inputs(5, 1);
  CHECK(of(1).conditioning_frames() == Frames{0, 3});
  followed.track(6);
  CHECK(of(1).find(6));
  // The frame of the detection is tracked when it is met, that of the click is as it was clicked.
  const at::Tensor clicked = of(1).find(3)->masks.clone(), detected = of(1).find(0)->masks.clone();
  for (const int64_t frame : {3, 0}) {
    followed.open(frame);
    followed.tracker().propagate_some(frame, /*reverse=*/true, {1});
  }
  CHECK(of(1).find(3)->masks.equal(clicked));
  CHECK_FALSE(of(1).find(0)->masks.equal(detected));
  CHECK(of(1).conditioning_frames() == Frames{3});
}

TEST_CASE("multiplex clicks: an object that was alone keeps the memory of its detection") {
  Followed followed;
  followed.tracker().remove_objects({0, 2});
  followed.click(3, 1);
  const MultiplexBank& bank = followed.state_of(1).bank();
  CHECK(bank.conditioning_frames() == Frames{0, 3});
  CHECK(bank.find(0)->memory.defined());
}

TEST_CASE("multiplex clicks: a lost anchor is an error where it is not repaired") {
  for (const bool keep : {true, false}) {
    CAPTURE(keep);
    TrackerOptions options;
    options.keep_last_cond_frame = keep;
    Followed followed(options);
    followed.tracker().add_objects(5, {3},
                                   followed.everything());  // in the same state, whose only conditioning frame is 0
    REQUIRE(followed.state_of(3).ids() == Frames{0, 1, 2, 3});
    followed.tracker().remove_objects({0, 1, 2});
    const auto track = [&] { followed.track(6); };
    if (keep)
      CHECK_NOTHROW(track());
    else
      CHECK(error_of(track).starts_with("ERR_NO_PROMPT"));
  }
}
