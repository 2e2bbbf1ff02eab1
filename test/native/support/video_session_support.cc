#include "support/video_session_support.h"

#include <ATen/ATen.h>
#include <doctest/doctest.h>

#include <cstdlib>
#include <map>

#include "support/video_golden.h"

namespace sam3::test {

const Clip& Clip::get() {
  static const Clip clip(test_model(), test_model().cases("text_video"));
  REQUIRE(clip.width() == kWidth);
  REQUIRE(clip.height() == kHeight);
  REQUIRE(clip.frames() == kFrames);
  return clip;
}

const Clip& Clip::multiplex(int64_t slots) {
  static std::map<int64_t, Clip> clips;
  if (const auto known = clips.find(slots); known != clips.end()) return known->second;
  return clips.emplace(slots, Clip(multiplex_golden(), multiplex_clip(), load_multiplex(slots))).first->second;
}

Clip::Clip(const GoldenModel& golden, const Json& recording)
    : Clip(golden, clip_of(golden, recording), golden.load()) {}

Clip::Clip(const GoldenModel& golden, at::Tensor pixels, std::unique_ptr<ImageModel> model)
    : golden_(golden), pixels_(std::move(pixels)), model_(std::move(model)) {
  for (int64_t i = 0; i < frames(); i++) frames_.push_back({pixels_[i].const_data_ptr<uint8_t>(), width(), height()});
}

VideoOptions Clip::options() const {
  VideoOptions options = model_->program().is_multiplex() ? VideoOptions::of_multiplex() : VideoOptions();
  options.width = width(), options.height = height(), options.num_frames = frames();
  options.logits = true;
  return options;
}

std::vector<FrameResult> Clip::propagate(VideoSession& session, Direction direction, std::optional<int64_t> start,
                                         std::optional<int64_t> max_frames, PropagationPlan* plan_out) const {
  const PropagationPlan plan = session.begin(direction, start, max_frames);
  if (plan_out) *plan_out = plan;
  std::vector<FrameResult> out;
  const auto take = [&](std::vector<FrameResult> results) {
    std::move(results.begin(), results.end(), std::back_inserter(out));
  };
  const int64_t last = std::min(plan.last, frames() - 1);
  for (int64_t f = plan.first; plan.reverse ? f >= last : f <= last; f += plan.reverse ? -1 : 1)
    take(session.step(f, plan.encodes && !session.holds(f) ? frame(f) : nullptr, {}));
  take(session.finish());
  return out;
}

ConceptPrompt concept_of(const std::string& text) {
  ConceptPrompt out;
  out.ids = token_ids(text);
  return out;
}

at::Tensor pixels_of(const MaskRuns& mask, int64_t height, int64_t width) {
  at::Tensor columns = at::zeros({width * height}, at::kBool);
  int64_t at = 0;
  for (size_t i = 0; i < mask.runs.size(); i++) {
    if (i % 2 == 1) columns.narrow(0, at, mask.runs[i]).fill_(true);
    at += mask.runs[i];
  }
  REQUIRE(at == width * height);
  return columns.view({width, height}).t().contiguous();
}

}  // namespace sam3::test
