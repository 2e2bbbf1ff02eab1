#pragma once
#include <cstdint>
#include <memory>
#include <set>
#include <vector>

#include "core/error.h"
#include "image/image_model.h"
#include "image/prompts.h"
#include "video/frames/frame_store.h"
#include "video/tracker/masklet_tracker.h"
#include "video/tracker/tracker_options.h"

namespace sam3 {

// Some objects on one frame, after a prompt was given or taken back: those of a bucket. N objects in its order.
struct BucketFrame {
  std::vector<int64_t> ids;
  at::Tensor masks;               // [N,4G,4G] float32 logits; -1024 where an object has nothing on this frame
  at::Tensor object_logits;       // [N] float32 on the host; above 0 the object is present
  std::vector<at::Tensor> given;  // per object: the mask that the user gave, bool [height,width]; else undefined
};

// The tracker of a video: buckets of objects that share their frames in memory, over one network. Every call that reads
// an image needs its frame to be held by the FrameStore (see FrameStore::open). Engine thread only.
//
// Errors of all calls: ERR_UNKNOWN_OBJECT, ERR_OUT_OF_MEMORY, ERR_INFERENCE, ERR_INVALID_FRAME. A call that throws
// leaves the tracker as it was.
class ObjectTracker : public MaskletTracker {
 public:
  // Asks the device for what the next propagate() of all objects will need, if it is to this frame, so that it only has
  // to wait; what the tracker has does not change. Forgotten with that call, or by forget_ahead(), which belongs at the
  // end of whatever asked: nothing else may be done with the tracker in between but removing objects.
  virtual void ask_ahead(int64_t frame, bool reverse) = 0;
  virtual void forget_ahead() = 0;

  // Prompts. They become memory with the next preflight. Each returns all objects of the bucket on that frame.
  // ERR_INVALID_ARGUMENT for points without labels, a box beside old points, nothing at all, or a mask of a wrong size.
  virtual BucketFrame add_points(int64_t frame, int64_t object, const ClickPrompt& input) = 0;
  // `mask` [height,width] of the video, or of another size, which is then resized: above 0.5 is the object.
  virtual BucketFrame add_mask(int64_t frame, int64_t object, const at::Tensor& mask) = 0;
  virtual BucketFrame clear_inputs(int64_t frame, int64_t object) = 0;
  // Takes back the prompts, of all objects in the bucket of `object`, on those other frames at most `window` away from
  // `frame` where that object has a mask but no points (in the reference clear_detector_added_cond_frame_in_tracker).
  virtual void clear_mask_prompts_around(int64_t frame, int64_t object, int64_t window) = 0;

  // Turns new prompts into memory: in the buckets of these objects, or of all.
  virtual void preflight(const std::vector<int64_t>& objects) = 0;
  void preflight() { preflight(object_ids()); }
  // propagate() for the buckets of these objects only; `ids` of the result's rows are those of bucket_ids(objects).
  // With `encode_memory` the memory of the frame is stored at once, from the masks as they are (in the reference
  // propagate_in_video with run_mem_encoder).
  virtual Propagated propagate_some(int64_t frame, bool reverse, const std::vector<int64_t>& objects,
                                    bool encode_memory = true) = 0;
  // All objects in the buckets of `objects`, in the order of object_ids().
  virtual std::vector<int64_t> bucket_ids(const std::vector<int64_t>& objects) const = 0;

  // Bounded history: forgets what tracking forward from `frame` can never look at, even after any objects are removed.
  virtual void prune(int64_t frame) = 0;
  // Full history: what tracking from `frame` will hardly look at goes to the host.
  virtual void move_to_host(int64_t frame) = 0;
  // Full history: by at most how much host_bytes() grows. In a step that turns prompts into memory, tracks `objects` to
  // the frame and adds so many others there; with a prompt for `object`, new or not, once all prompts are memory.
  virtual int64_t growth_of_step(int64_t frame, bool reverse, const std::vector<int64_t>& objects,
                                 int64_t added) const = 0;
  virtual int64_t growth_of_prompt(int64_t frame, int64_t object) const = 0;
  virtual int64_t bytes() const = 0;                        // of memory, masks and pointers that are stored
  virtual int64_t host_bytes() const = 0;                   // of those of them that lie on the host
  virtual std::set<int64_t> pending_frames() const = 0;     // with prompts that are not in memory yet
  virtual bool has_conditioning() const = 0;                // whether anything can be tracked
  virtual bool has_conditioning(int64_t object) const = 0;  // whether the object can; ERR_UNKNOWN_OBJECT
};

// A tracker of the model's kind. `width`, `height` of the video in pixels; `num_frames` = -1 where it is not known.
// `model` and `frames` must outlive it.
std::unique_ptr<ObjectTracker> make_tracker(ImageModel& model, FrameStore& frames, const TrackerOptions& options,
                                            int64_t width, int64_t height, int64_t num_frames);

// ERR_UNKNOWN_OBJECT, with the ids that there are.
Error unknown_object(int64_t object, const std::vector<int64_t>& tracked);

}  // namespace sam3
