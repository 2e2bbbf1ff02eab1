#pragma once
#include <string>
#include <utility>
#include <vector>

#include "support/golden.h"
#include "support/near_ties.h"
#include "support/video_session_support.h"
#include "video/concepts/concept_options.h"
#include "video/concepts/detections.h"
#include "video/frames/frame_store.h"

namespace sam3::test {

// A recorded run of the reference's video model (cases/text_video.json).
class ConceptRun {
 public:
  // Outputs that one call gave: one of a prompt, those of all frames of a propagation.
  struct Stage {
    std::string op;
    std::vector<const Json*> outputs;
    std::vector<int64_t> frames;
    bool is_propagation() const { return op.starts_with("propagate"); }
    // The reference's backward passes begin beside the start frame.
    bool backward() const;
    int64_t start(int64_t num_frames) const;
    // How far from the start frame a propagation went that ended before the video does.
    std::optional<int64_t> distance(int64_t num_frames) const;
  };

  ConceptRun(const Json& run, const Json& recording);

  std::string name, key;  // key: of its tensors
  std::string text;       // "visual" where there are boxes only
  bool has_text, crafted_detections, crafted_masks;
  int64_t start;  // frame of the prompt
  ConceptOptions options;
  std::vector<Stage> stages;

  const Json::Array& internals() const { return run_->at("internals").as_array("internals"); }
  ConceptPrompt prompt() const;
  // As the detector takes it on a frame: boxes count on the frame of the prompt and on the one that follows.
  ConceptPrompt prompt_on(int64_t frame) const;
  // What is detected on a frame, in the order in which the run numbers it.
  ConceptDetections detections(const Clip& clip, FrameStore& frames, const GoldenTensors& tensors, int64_t frame) const;
  // Objects that were removed before a stage. Recordings do not say which: those that an earlier stage showed on the
  // stage's frames and that are on none of them now.
  std::vector<int64_t> removed_before(size_t stage) const;
  // What hangs on rounding and stays in memory after an internal step: scores, and masks of detections, which are made
  // binary. Empty where there is nothing.
  std::string tie_of(const Json& internal, const ConceptDetections& detections, const GoldenTensors& tensors) const;

 private:
  const Json* run_;
  int64_t side_;  // of low-resolution masks
};

// The recorded runs in float32 whose tracker is the network.
std::vector<ConceptRun> concept_runs(const Json& recording);

// The click of a call such as "add_prompt(frame 4, points=[[.4,.4]], point_labels=[1], obj_id=0)".
struct Click {
  int64_t frame, object;
  ClickPrompt points;
};
Click click_of(const std::string& op);

}  // namespace sam3::test
