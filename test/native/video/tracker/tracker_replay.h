#pragma once
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "image/image_model.h"
#include "support/golden.h"
#include "video/tracker/bucket_tracker.h"

namespace sam3::test {

// A recorded run of the reference's tracker, step by step.
struct ReplayStep {
  enum class Kind { points, mask, clear, remove, clear_all, preflight, track };
  Kind kind;
  int64_t index = 0;  // of the step in the recording
  int64_t frame = -1, object = -1;
  ClickPrompt points;
  int64_t mask = -1;                // of mask_inputs; -1: an empty one
  bool reverse = false;             // of a tracked frame
  std::vector<int64_t> object_ids;  // afterwards
  std::vector<int64_t> updated;     // frames whose masks were recorded again, of a removal
};

struct ReplayRun {
  std::string name, key;  // key: of its tensors, up to the step's number
  bool failed = false;    // the reference threw an exception
  std::vector<ReplayStep> steps;
};

// The runs of cases/tracker_video.json in float32.
std::vector<ReplayRun> replay_runs(const Json& recording);

// A tracker on the recording's clip, whose frames are resized as the reference's tracker does.
class Replay {
 public:
  Replay(const GoldenModel& golden, ImageModel& model, bool full_history);

  struct Answer {
    std::optional<Propagated> tracked;  // of a tracked frame
    std::optional<BucketFrame> bucket;  // of a prompt
  };
  Answer run(const ReplayStep& step);

  void open(int64_t frame);
  BucketTracker& tracker() { return *tracker_; }
  // What is stored of the bucket of `object`.
  BucketFrame stored(int64_t frame, int64_t object);

 private:
  at::Tensor images_, masks_;  // uint8 [T,S,S,3], [n,height,width]
  std::unique_ptr<FrameStore> frames_;
  void start();  // a tracker without objects

  ImageModel& model_;
  std::unique_ptr<BucketTracker> tracker_;
};

}  // namespace sam3::test
