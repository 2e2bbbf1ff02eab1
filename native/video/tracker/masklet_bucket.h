#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <map>
#include <set>
#include <vector>

#include "image/prompts.h"
#include "video/tracker/mask_prompts.h"
#include "video/tracker/memory_bank.h"
#include "video/tracker/object_tracker.h"
#include "video/tracker/prompt_book.h"
#include "video/tracker/track_context.h"
#include "video/tracker/track_network.h"

namespace sam3 {

using TrackContext = TrackContextOf<TrackNetwork>;

// Objects that are tracked as one batch and share their conditioning frames: one "inference state" of the reference's
// Sam3TrackerPredictor, with the behaviour of that class unless it is said otherwise. Objects without a prompt on a
// conditioning frame count as absent there. New ones are accepted until the first preflight.
//
// A call that throws leaves the bucket as it was.
class MaskletBucket {
 public:
  using Output = FrameOutput;

  const std::vector<int64_t>& ids() const { return book_.ids(); }
  bool contains(int64_t id) const { return book_.contains(id); }
  bool started() const { return started_; }  // true from the first preflight on
  const MemoryBank& bank() const { return bank_; }

  // Points and box of an object, new or not. On a frame that was not tracked before they are decoded without memory,
  // else they correct what was tracked (see ClickPrompt); the object's previous logits, held within +-32, are fed back.
  // Of more than max_point_num_in_prompt_enc points the first and the last half are kept, for good.
  // ERR_INVALID_ARGUMENT: labels and points that do not match, neither points nor box, a box beside old points.
  // ERR_INTERNAL: a new id after the first preflight.
  void add_points(const TrackContext& context, int64_t frame, int64_t id, const ClickPrompt& input);
  // Masks of K objects, new or not. Each takes its pixels from masks that other objects were given on the frame before.
  void add_masks(const TrackContext& context, int64_t frame, const std::vector<int64_t>& ids, const MaskPrompts& masks);
  // A mask [1,height,width] in place of what an object has on a frame that was tracked, with its pointer [1,C] and
  // whether anything is in it. The frame is a conditioning one from now on, its memory is made by
  // encode_conditioning(), once for all masks. None takes pixels from another, as add_masks() and preflight() would for
  // one after the other.
  void replace_mask(const TrackContext& context, int64_t frame, int64_t id, const at::Tensor& given,
                    const at::Tensor& pointer, float there);
  void encode_conditioning(const TrackContext& context, int64_t frame);
  // Takes an object's prompt on a frame back. A frame without any prompt is no conditioning frame any more; without any
  // conditioning frame all that was tracked is forgotten. Unlike the reference, prompts that were not yet used survive
  // that (it drops the prompts of all objects).
  void clear_inputs(int64_t frame, int64_t id);
  // Removes those objects that the bucket has. Scores of frames are computed anew.
  void remove(const std::vector<int64_t>& ids);
  // Turns the prompts since the last preflight into memory; from here on objects can be tracked.
  void preflight(const TrackContext& context);

  // The bucket's objects on a frame: new prompts, else what is stored.
  BucketFrame on_frame(const TrackContext& context, int64_t frame) const;
  // Frames where the object has a mask but no points.
  std::vector<int64_t> mask_frames(int64_t id) const { return book_.mask_frames(id); }
  std::set<int64_t> pending_frames() const { return book_.pending_frames(); }  // with prompts since the last preflight

  // Whether the answer on a frame is what is stored of it, which tracking does not change: on conditioning ones.
  bool stands(int64_t frame) const { return bank_.conditioning(frame) != nullptr; }
  BucketFrame stored(int64_t frame) const;  // where it stands

  MemoryView view(const TrackContext& context, int64_t frame, bool reverse) const;
  void store_tracked(int64_t frame, bool reverse, FrameOutput output);
  // Propagation has met a conditioning frame, whose output stands already.
  void meet_conditioning(const TrackContext& context, int64_t frame, bool reverse);
  void set_memory(int64_t frame, const at::Tensor& memory) { bank_.set_memory(frame, memory); }

  // See MemoryBank::prune(). Prompts of frames that are forgotten go with them.
  void prune(const TrackContext& context, int64_t frame);
  void move_to_host(const TrackContext& context, int64_t frame);  // see MemoryBank
  // What a frame stores of the bucket's objects and so many others.
  int64_t frame_bytes(const TrackContext& context, int64_t more = 0) const;
  // By how much host_bytes() grows with what tracking to a frame keeps besides: nothing is kept.
  int64_t view_growth(const TrackContext&, int64_t, bool) const { return 0; }
  int64_t bytes() const;
  int64_t host_bytes() const { return bank_.host_bytes(); }  // without prompts that are not in memory yet

 private:
  void check_new(int64_t id) const;
  at::Tensor previous_logits(int64_t frame, int64_t id) const;
  // All objects on one frame, from new prompts or from what is stored, without memory.
  FrameOutput consolidated(const TrackContext& context, int64_t frame) const;
  // Its memory: binary masks that do not overlap.
  at::Tensor prompted_memory(const TrackContext& context, int64_t frame, const FrameOutput& output) const;
  void hide_around(const TrackContext& context, int64_t frame);
  void forget_tracking();

  PromptBook book_;
  MemoryBank bank_;
  bool started_ = false;
  std::map<int64_t, bool> tracked_in_reverse_;  // frames met by a propagation, and its direction
};

}  // namespace sam3
