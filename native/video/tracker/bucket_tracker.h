#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <set>
#include <vector>

#include "core/error.h"
#include "video/tracker/masklet_bucket.h"
#include "video/tracker/masklet_tracker.h"

namespace sam3 {

// The tracker of a video: buckets of objects over one network. Every call that reads an image needs its frame to be
// held by the FrameStore (see FrameStore::open). Engine thread only.
//
// Errors of all calls: ERR_UNKNOWN_OBJECT, ERR_OUT_OF_MEMORY, ERR_INFERENCE, ERR_INVALID_FRAME. A call that throws
// leaves the tracker as it was.
class BucketTracker : public MaskletTracker {
 public:
  // `width`, `height` of the video in pixels; `num_frames` = -1 where it is not known. `model` and `frames` must
  // outlive the tracker.
  BucketTracker(ImageModel& model, FrameStore& frames, TrackerOptions options, int64_t width, int64_t height,
                int64_t num_frames);
  ~BucketTracker() override;
  BucketTracker(const BucketTracker&) = delete;
  BucketTracker& operator=(const BucketTracker&) = delete;

  std::vector<int64_t> object_ids() const override;
  // On a frame with prompts the bucket's stored answer is given. Objects of a bucket without any conditioning frame
  // (all of their prompts were taken back) are absent: logits of -1024. ERR_NO_PROMPT where that is so for all.
  Propagated propagate(int64_t frame, bool reverse) override;
  void recondition(int64_t frame, int64_t object, const at::Tensor& mask) override;
  void update_memories(int64_t frame, const at::Tensor& masks) override;
  void add_objects(int64_t frame, const std::vector<int64_t>& ids, const at::Tensor& masks) override;
  void remove_objects(const std::vector<int64_t>& ids) override;

  // Prompts. They become memory with the next preflight. A new object joins the bucket whose tracking has not started,
  // or gets one of its own. Each returns all objects of the bucket on that frame.
  // ERR_INVALID_ARGUMENT for points without labels, a box beside old points, nothing at all, or a mask of a wrong size.
  BucketFrame add_points(int64_t frame, int64_t object, const ClickPrompt& input);
  // `mask` [height,width] of the video, or of another size, which is then resized: above 0.5 is the object.
  BucketFrame add_mask(int64_t frame, int64_t object, const at::Tensor& mask);
  BucketFrame clear_inputs(int64_t frame, int64_t object);
  // Takes back the prompts, of all objects in the bucket of `object`, on those frames at most `window` away from
  // `frame` where that object has a mask but no points (in the reference clear_detector_added_cond_frame_in_tracker).
  void clear_mask_prompts_around(int64_t frame, int64_t object, int64_t window);

  // Turns new prompts into memory: in the buckets of these objects, or of all.
  void preflight(const std::vector<int64_t>& objects);
  void preflight();
  // propagate() for the buckets of these objects only, in the order of object_ids(); `ids` of the result's rows are
  // those of bucket_ids(objects). With `encode_memory` the memory of the frame is stored at once, from the masks as
  // they are (in the reference propagate_in_video with run_mem_encoder).
  Propagated propagate_some(int64_t frame, bool reverse, const std::vector<int64_t>& objects,
                            bool encode_memory = true);
  // All objects in the buckets of `objects`, in the order of object_ids().
  std::vector<int64_t> bucket_ids(const std::vector<int64_t>& objects) const;

  // Bounded history: forgets what tracking forward from `frame` can never look at (see MemoryBank::prune).
  void prune(int64_t frame);
  // Full history: what tracking from `frame` will hardly look at goes to the host (see MemoryBank::move_to_host).
  void move_to_host(int64_t frame);
  int64_t bytes() const;                     // of memory, masks and pointers that are stored
  int64_t host_bytes() const;                // of those of them that lie on the host
  std::set<int64_t> pending_frames() const;  // with prompts that are not in memory yet
  bool has_conditioning() const;             // whether anything can be tracked

  const std::vector<MaskletBucket>& buckets() const { return buckets_; }

 private:
  TrackContext context() const { return {model_, frames_, network_, options_, width_, height_, num_frames_}; }
  MaskletBucket& bucket_of(int64_t object);
  std::vector<size_t> buckets_of(const std::vector<int64_t>& objects) const;
  Propagated run(int64_t frame, bool reverse, const std::vector<size_t>& buckets, bool encode_memory);
  at::Tensor tracked_memory(const Program::Levels& image, const at::Tensor& masks, const at::Tensor& object_logits);
  template <class Body>
  BucketFrame prompt(int64_t frame, int64_t object, Body&& body);
  void pin_pending();

  ImageModel& model_;
  FrameStore& frames_;
  TrackerOptions options_;
  mutable TrackNetwork network_;
  int64_t width_, height_, num_frames_;
  std::vector<MaskletBucket> buckets_;
};

// ERR_UNKNOWN_OBJECT, with the ids that there are.
Error unknown_object(int64_t object, const std::vector<int64_t>& tracked);

}  // namespace sam3
