#pragma once
#include <ATen/core/Tensor.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "support/golden.h"
#include "video/session/video_session.h"

namespace sam3::test {

constexpr int64_t kWidth = 160, kHeight = 120, kFrames = 24;  // of the clip of the project's own goldens

// The clip and the model of a set of goldens.
class Clip {
 public:
  static const Clip& get();                     // those of the project's own goldens, loaded once for all test cases
  static const Clip& multiplex(int64_t slots);  // that of the replayed set of SAM 3.1, with its model of so many slots
  // `recording`: one that names a clip.
  Clip(const GoldenModel& golden, const Json& recording);

  const GoldenModel& golden() const { return golden_; }
  ImageModel& model() const { return *model_; }
  int64_t width() const { return pixels_.size(2); }
  int64_t height() const { return pixels_.size(1); }
  int64_t frames() const { return pixels_.size(0); }
  const RgbImage* frame(int64_t index) const { return &frames_[index]; }
  // For this clip, with logits in the results and the defaults of the model's kind.
  VideoOptions options() const;
  // A whole propagation: what the steps and the end give, in order. Images are sent only where the plan asks for them.
  std::vector<FrameResult> propagate(VideoSession& session, Direction direction, std::optional<int64_t> start = {},
                                     std::optional<int64_t> max_frames = {}, PropagationPlan* plan = nullptr) const;

 private:
  Clip(const GoldenModel& golden, at::Tensor pixels, std::unique_ptr<ImageModel> model);

  const GoldenModel& golden_;
  at::Tensor pixels_;
  std::vector<RgbImage> frames_;
  std::unique_ptr<ImageModel> model_;
};

ConceptPrompt concept_of(const std::string& text);
// A mask as bool [height,width].
at::Tensor pixels_of(const MaskRuns& mask, int64_t height, int64_t width);

}  // namespace sam3::test
