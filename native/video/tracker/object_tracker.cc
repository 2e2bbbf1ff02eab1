#include "video/tracker/object_tracker.h"

#include <string>

#include "video/tracker/bucket_tracker.h"
#include "video/tracker/multiplex_tracker.h"

namespace sam3 {

std::unique_ptr<ObjectTracker> make_tracker(ImageModel& model, FrameStore& frames, const TrackerOptions& options,
                                            int64_t width, int64_t height, int64_t num_frames) {
  if (model.program().is_multiplex())
    return std::make_unique<MultiplexTracker>(model, frames, options, width, height, num_frames);
  return std::make_unique<BucketTracker>(model, frames, options, width, height, num_frames);
}

Error unknown_object(int64_t object, const std::vector<int64_t>& tracked) {
  std::string ids;
  for (const int64_t id : tracked) ids += (ids.empty() ? "" : ", ") + std::to_string(id);
  return Error(ERR_UNKNOWN_OBJECT, "There is no object " + std::to_string(object) +
                                       (ids.empty() ? "; none is tracked." : "; tracked are " + ids + "."));
}

}  // namespace sam3
