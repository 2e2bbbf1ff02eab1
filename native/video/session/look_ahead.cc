#include "video/session/look_ahead.h"

namespace sam3 {

bool LookAhead::boxed(int64_t frame) const {
  const auto known = kept_.find(frame);
  return known == kept_.end() ? frame == box_frame_ : known->second;
}

void LookAhead::looked_at(int64_t frame, bool reverse, int64_t num_frames) {
  const int64_t onward = reverse ? -1 : 1;
  kept_.emplace(frame, frame == box_frame_);
  kept_.erase(frame - onward);
  const int64_t next = frame + onward;
  if (next >= 0 && (num_frames < 0 || next < num_frames)) kept_.emplace(next, frame == box_frame_);
}

}  // namespace sam3
