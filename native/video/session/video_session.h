#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "core/cancel.h"
#include "image/image_model.h"
#include "image/prompts.h"
#include "video/frames/stage_times.h"
#include "video/session/frame_result.h"
#include "video/session/video_types.h"

namespace sam3 {

// One video: concepts and clicked objects followed through its frames. Engine thread only.
//
// Every call either succeeds or throws an Error and leaves the session usable. A prompt that fails or is cancelled
// changes nothing, and neither does a step, with the exception that step() names.
class VideoSession {
 public:
  VideoSession(ImageModel& model, VideoOptions options);
  ~VideoSession();

  // True where the frame's pixels or features are held, so that no image has to be sent for it.
  bool holds(int64_t frame) const;

  // `image` may be null when holds(frame). These four run the network on that frame and give its result.
  // Errors: ERR_INVALID_FRAME (index out of range, or no image of a frame that is not held), ERR_FRAME_SIZE,
  // ERR_HISTORY_REQUIRED (bounded history, and the frame is older than the newest processed one), ERR_INVALID_ARGUMENT,
  // ERR_MEMORY_LIMIT, ABORT_ERR.

  // Returns the concept's index and the result.
  std::pair<int64_t, FrameResult> add_concept(int64_t frame, const RgbImage* image, const ConceptPrompt& prompt,
                                              const CancelProbe& cancel);
  // A new `object` (its id is the caller's to choose, >= 0) or one that is there, of a concept or not.
  FrameResult add_points(int64_t frame, const RgbImage* image, int64_t object, const ClickPrompt& input,
                         const CancelProbe& cancel);
  // `mask`: height * width of the video, row-major, 0 or 1.
  FrameResult add_mask(int64_t frame, const RgbImage* image, int64_t object, const uint8_t* mask,
                       const CancelProbe& cancel);
  // Takes the points, box or mask of one object on one frame back. ERR_UNKNOWN_OBJECT.
  FrameResult clear_prompts(int64_t frame, const RgbImage* image, int64_t object, const CancelProbe& cancel);

  void remove_object(int64_t object);          // ERR_UNKNOWN_OBJECT
  void remove_concept(int64_t concept_index);  // with its objects; ERR_INVALID_ARGUMENT
  void reset();

  // ERR_NO_PROMPT, ERR_HISTORY_REQUIRED, ERR_SESSION_BUSY (a propagation is under way), ERR_INVALID_FRAME.
  PropagationPlan begin(Direction direction, std::optional<int64_t> start, std::optional<int64_t> max_frames);
  // The next frame of the plan; frames may be left out. Returns the frames that became final, in order.
  // A step that is cancelled, or fails before tracking begins (bad frame, encoding, detection, memory limit), leaves
  // the session as before it and can be repeated with the same result. One that fails in tracking (device out of
  // memory) can be repeated, too, for the same frame only: groups of objects that were through keep their results, the
  // failed one tracks the frame again. Or the propagation is ended, by finish() or abandon().
  std::vector<FrameResult> step(int64_t frame, const RgbImage* image, const CancelProbe& cancel);
  std::vector<FrameResult> finish();  // what hotstart still holds; ends the propagation
  void abandon();                     // ends the propagation and drops what hotstart still holds

  struct Stats {
    int64_t host_bytes = 0, device_bytes = 0, frames = 0, objects = 0;
    StageTimes times;
  };
  Stats stats() const;

 private:
  struct SessionState;
  std::unique_ptr<SessionState> state_;
};

}  // namespace sam3
