#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <set>
#include <vector>

#include "video/tracker/mask_prompts.h"
#include "video/tracker/multiplex_bank.h"
#include "video/tracker/multiplex_network.h"
#include "video/tracker/object_tracker.h"
#include "video/tracker/prompt_book.h"
#include "video/tracker/slot_assignment.h"
#include "video/tracker/track_context.h"

namespace sam3 {

using MultiplexContext = TrackContextOf<MultiplexNetwork>;

// Objects of SAM 3.1 in slots of buckets, which share their conditioning frames: one "inference state" of the
// reference's Sam3MultiplexTracker, with the behaviour of that class unless it is said otherwise. Objects that come
// later, and detections that correct objects, do not make their frame a conditioning one, but it is encoded again for
// all.
//
// A call that throws leaves the state as it was, but for add_masks() and add_points().
class MultiplexState {
 public:
  using Output = SlotOutput;

  MultiplexState(int64_t slots, const TrackerOptions& options)
      : slots_(slots, {}), keep_last_(options.keep_last_cond_frame) {}

  const std::vector<int64_t>& ids() const { return slots_.ids(); }
  bool contains(int64_t id) const { return book_.contains(id); }
  const SlotAssignment& slots() const { return slots_; }
  const MultiplexBank& bank() const { return bank_; }

  // Points of an object, new or not: decoded without memory and without its previous mask. The frame becomes a
  // conditioning one. ERR_INVALID_ARGUMENT as MaskletBucket::add_points().
  void add_points(const MultiplexContext& context, int64_t frame, int64_t id, const ClickPrompt& input);
  // Masks of K objects, new or not. `conditions`: the frame becomes a conditioning one in any case, not only as the
  // first one of all.
  void add_masks(const MultiplexContext& context, int64_t frame, const std::vector<int64_t>& ids,
                 const MaskPrompts& masks, bool conditions);
  // As MaskletBucket has them.
  void clear_inputs(int64_t frame, int64_t id);
  void preflight(const MultiplexContext& context);
  BucketFrame on_frame(const MultiplexContext& context, int64_t frame) const;
  // Whether the answer on a frame is what is stored of it. On a conditioning frame without input, while there are
  // others, it is not.
  bool stands(int64_t frame) const;
  BucketFrame stored(int64_t frame) const;  // where it stands
  std::vector<int64_t> mask_frames(int64_t id) const { return book_.mask_frames(id); }
  // Masks on other frames are no input any more. Those frames go on conditioning until they are tracked again.
  void forget_masks(int64_t but_on);
  std::set<int64_t> pending_frames() const { return book_.pending_frames(); }

  // Removes those objects that the state has. Their slots are not given again; a bucket without objects goes.
  void remove(const std::vector<int64_t>& ids);
  // Takes an object out into a state of its own, which has no memory of frames, but pointers.
  MultiplexState extract(int64_t id);

  MultiplexView view(const MultiplexContext& context, int64_t frame, bool reverse) const;
  void store_tracked(int64_t frame, bool reverse, SlotOutput output);
  void meet_conditioning(const MultiplexContext&, int64_t, bool) {}
  void set_memory(int64_t frame, const at::Tensor& memory, const at::Tensor& image);

  void prune(const MultiplexContext& context, int64_t frame);
  void move_to_host(const MultiplexContext&, int64_t frame) { bank_.move_to_host(frame); }
  // As MaskletBucket has them. What is kept besides are the projections of what a frame attends to.
  int64_t frame_bytes(const MultiplexContext& context, int64_t more = 0) const;
  int64_t view_growth(const MultiplexContext& context, int64_t frame, bool reverse) const;
  int64_t host_bytes() const { return bank_.host_bytes(); }
  int64_t bytes() const { return bank_.bytes() + book_.bytes(); }

 private:
  void add_to_slots(int64_t id);
  // All objects on one frame, from new prompts or from what is stored, without memory. `settles`: as it is stored, for
  // which masks of clicks go by way of the video's size.
  SlotOutput consolidated(const MultiplexContext& context, int64_t frame, bool settles) const;
  at::Tensor prompted_memory(const MultiplexContext& context, const Program::Levels& image,
                             const SlotOutput& output) const;
  void clear_inputs(int64_t frame, int64_t id, bool keep_last);

  SlotAssignment slots_;
  PromptBook book_;  // of the same objects in the same order
  MultiplexBank bank_;
  bool keep_last_;                // as TrackerOptions::keep_last_cond_frame
  std::set<int64_t> conditions_;  // frames that become conditioning ones with the next preflight
};

}  // namespace sam3
