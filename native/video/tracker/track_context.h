#pragma once
#include <cstdint>

#include "image/image_model.h"
#include "video/frames/frame_store.h"
#include "video/tracker/tracker_options.h"

namespace sam3 {

// What buckets share: the network, the frames and the facts of the video.
template <class Network>
struct TrackContextOf {
  ImageModel& model;
  FrameStore& frames;
  Network& network;
  const TrackerOptions& options;
  int64_t width, height;  // of the video, pixels
  int64_t num_frames;     // -1 = not known
};

}  // namespace sam3
