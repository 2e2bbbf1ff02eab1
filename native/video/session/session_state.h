#pragma once
#include <functional>
#include <memory>
#include <set>
#include <vector>

#include "video/session/click_group.h"
#include "video/session/concept_group.h"
#include "video/session/video_session.h"

namespace sam3 {

// What is behind a VideoSession: its groups of objects, the frames they share, and the propagation under way.
struct VideoSession::SessionState {
  SessionState(ImageModel& model, VideoOptions options);

  // Checks that throw ERR_INVALID_ARGUMENT.
  void check_object(int64_t object) const;
  void check_points(int64_t object, const ClickPrompt& input) const;
  void check_concept(const ConceptPrompt& prompt) const;
  at::Tensor mask_of(const uint8_t* mask) const;

  // Full history: by at most how much host_bytes() grows with a prompt, points or a mask, and with those that are not
  // memory yet.
  int64_t growth_of_prompt(int64_t frame, int64_t object, bool mask);
  int64_t growth_of_waiting(const ObjectGroup* without = nullptr) const;
  // Makes a frame that is to be prompted the current one, where the memory that the prompt needs is there.
  void open_prompted(int64_t frame, const RgbImage* image, int64_t growth, const CancelProbe& cancel);
  int64_t add_concept(int64_t frame, const ConceptPrompt& prompt, const CancelProbe& cancel);
  // Lets `body` prompt an object, new or not, in the group where it belongs.
  void prompt(int64_t frame, int64_t object, const std::function<void(ObjectGroup&)>& body);
  ObjectGroup& group_of(int64_t object);  // ERR_UNKNOWN_OBJECT
  void remove_concept(int64_t index);
  void drop_empty_groups();
  void reset();

  PropagationPlan begin(const RunRequest& request);
  std::vector<FrameResult> step(int64_t frame, const RgbImage* image, const CancelProbe& cancel);
  std::vector<FrameResult> finish();

  FrameResult look(int64_t frame) const;
  int64_t objects() const;
  int64_t host_bytes() const;
  int64_t device_history_bytes() const;  // of what trackers keep there
  int64_t device_bytes() const;

  VideoOptions options;
  FrameStore frames;
  SessionContext context;
  int64_t frames_stepped = 0;

 private:
  ObjectGroup* home_of(int64_t object) const;  // the group of an object, new or not; null where none takes it
  void check_image(const RgbImage& image) const;
  void check_frame(int64_t frame) const;
  void check_memory(int64_t frame, int64_t growth) const;
  int64_t growth_of_step(int64_t frame, const std::vector<ConceptDetections>& found) const;
  void open(int64_t frame, const RgbImage* image, const CancelProbe& cancel);
  std::vector<int64_t> held_frames(const PropagationPlan& plan) const;
  void check_step(int64_t frame) const;
  std::vector<ConceptDetections> detect(int64_t frame, const CancelProbe& cancel);
  std::vector<FrameResult> finalise(const std::vector<int64_t>& ready);
  void tidy();
  void join(ObjectGroup& group);
  FrameResult collect(int64_t frame, const std::function<std::vector<TrackedObject>(ObjectGroup&)>& objects_of) const;

  std::vector<std::unique_ptr<ObjectGroup>> groups_;
  int64_t next_concept_ = 0;
  int64_t newest_ = -1;   // highest frame that was stepped or prompted
  int64_t stepped_ = -1;  // highest frame that was stepped

  bool running_ = false;
  PropagationPlan plan_;
  int64_t at_ = -1;                       // last frame of the propagation that was stepped
  int64_t half_ = -1;                     // frame whose step failed after some groups were through with it
  std::set<const ObjectGroup*> through_;  // those groups
  PendingFrames pending_;
};

}  // namespace sam3
