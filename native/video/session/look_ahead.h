#pragma once
#include <cstdint>
#include <map>

namespace sam3 {

// Which frames are looked at with the box of a concept's prompt. The reference detects one frame ahead, with the prompt
// of the frame it is on, and keeps what it found until the next frame is done: so the box counts on the frame that
// comes after its own, whichever way that is, and is lost on its own where that was looked at ahead. Source: Meta's
// Sam3ImageOnVideoMultiGPU (forward_video_grounding_multigpu).
class LookAhead {
 public:
  explicit LookAhead(int64_t box_frame) : box_frame_(box_frame) {}

  bool boxed(int64_t frame) const;
  // A step of a propagation detected on this frame; `num_frames` -1 = not known.
  void looked_at(int64_t frame, bool reverse, int64_t num_frames);

 private:
  int64_t box_frame_;
  std::map<int64_t, bool> kept_;  // frame: whether its detections, which are kept, were made with the box
};

}  // namespace sam3
