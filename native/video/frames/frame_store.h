#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <map>
#include <set>

#include "core/cancel.h"
#include "image/image_model.h"
#include "video/frames/frame_transform.h"
#include "video/frames/stage_times.h"

namespace sam3 {

// The frames of a video as the network needs them. Image features are computed once per frame and shared by detector
// and tracker; they are kept of the current frame and of pinned ones (with prompts that are not yet in memory). With
// full history the resized pixels of every frame stay on the host, S * S * 3 bytes each,
// and features are computed again when they are needed again.
class FrameStore {
 public:
  FrameStore(ImageModel& model, FrameFilter filter, bool full_history)
      : model_(model), filter_(filter), full_history_(full_history) {}

  // Makes `frame` the current one and its features available. `image` may be null where holds(frame), and is not looked
  // at then. Throws ERR_INVALID_FRAME (not held, and no image), ERR_INFERENCE, ERR_OUT_OF_MEMORY, ABORT_ERR; the frame
  // that was current before stays so.
  void open(int64_t frame, const RgbImage* image, const CancelProbe& cancel);
  // Whether features or pixels are there, so that no image is needed.
  bool holds(int64_t frame) const { return features_.count(frame) || pixels_.count(frame); }

  // Features of a frame that is held; where only its pixels are, they are computed. The current frame stays. Throws as
  // open().
  Program::Levels tracker(int64_t frame);      // of clicks, batch 1
  Program::Levels propagation(int64_t frame);  // of what is followed, batch 1; in SAM 3 the same
  Program::Levels detector(int64_t frame);     // batch 1

  // Exactly these frames stay for `owner`, beside those of other owners and the current one.
  void pin(const void* owner, const std::set<int64_t>& frames);
  void clear();

  bool full_history() const { return full_history_; }
  int64_t host_bytes() const;       // of the pixels that are kept
  int64_t feature_bytes() const;    // on the network's device
  int64_t bytes_per_frame() const;  // by which host_bytes() grows with a new frame
  StageClock& clock() { return clock_; }
  const StageTimes& times() const { return clock_.times; }

 private:
  ImageFeatures& ensure(int64_t frame, const RgbImage* image, const CancelProbe& cancel);
  void trim();

  ImageModel& model_;
  FrameFilter filter_;
  bool full_history_;
  at::Tensor table_;  // of normalize_frame, made with the first frame
  int64_t current_ = -1;
  std::map<int64_t, ImageFeaturesPtr> features_;
  std::map<int64_t, at::Tensor> pixels_;             // uint8 [3,S,S]
  std::map<const void*, std::set<int64_t>> pinned_;  // by owner
  StageClock clock_;
};

}  // namespace sam3
