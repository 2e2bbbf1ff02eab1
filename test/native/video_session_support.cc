#include "video_session_support.h"

#include <ATen/ATen.h>
#include <doctest/doctest.h>

#include <cstdlib>

#include "video_golden.h"

namespace sam3::test {

bool Clip::available() {
  return golden_model() && golden_clip(kHeight, kWidth).defined();
}

const Clip& Clip::get() {
  static const Clip clip;
  return clip;
}

Clip::Clip() : golden_(golden_model()), tensors_(golden_, "text_video"), pixels_(golden_clip(kHeight, kWidth)) {
  REQUIRE(pixels_.size(0) == kFrames);
  for (int64_t i = 0; i < kFrames; i++)
    frames_.push_back({pixels_.const_data_ptr<uint8_t>() + i * kHeight * kWidth * 3, kWidth, kHeight});
  ImageModelOptions options;
  options.device = "cpu", options.dtype = "float32";
  model_ = std::make_unique<ImageModel>(ProgramFiles{golden_.program + "/program.pt", golden_.program + "/names.json",
                                                     golden_.model + "/model.safetensors"},
                                        options, nullptr);
}

VideoOptions Clip::options() const {
  VideoOptions options;
  options.width = kWidth, options.height = kHeight, options.num_frames = kFrames;
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
  const int64_t last = std::min(plan.last, kFrames - 1);
  for (int64_t f = plan.first; plan.reverse ? f >= last : f <= last; f += plan.reverse ? -1 : 1)
    take(session.step(f, plan.encodes && !session.holds(f) ? frame(f) : nullptr, {}));
  take(session.finish());
  return out;
}

ConceptPromptSpec concept_of(const std::string& text) {
  ConceptPromptSpec out;
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
