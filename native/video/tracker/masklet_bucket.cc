// A bucket's objects and frames. What their prompts are made of is in bucket_prompts.cc.
#include "video/tracker/masklet_bucket.h"

#include <algorithm>

#include "core/error.h"

namespace sam3 {

void MaskletBucket::check_new(int64_t id) const {
  // An output of a frame has a row for every object: who comes later would be missing in those that exist.
  if (started_ && !contains(id))
    throw Error(ERR_INTERNAL, "Object " + std::to_string(id) + " cannot join a bucket that is tracked already.");
}

void MaskletBucket::clear_inputs(int64_t frame, int64_t id) {
  book_.erase(frame, id);
  if (book_.prompted(frame)) return;
  if (bank_.downgrade(frame)) tracked_in_reverse_.erase(frame);
  if (!bank_.has_conditioning()) forget_tracking();
}

void MaskletBucket::forget_tracking() {
  bank_.clear();
  tracked_in_reverse_.clear();
  started_ = false;
}

void MaskletBucket::remove(const std::vector<int64_t>& ids) {
  std::vector<int64_t> left, gone;
  for (size_t i = 0; i < book_.ids().size(); i++)
    (std::find(ids.begin(), ids.end(), book_.ids()[i]) == ids.end() ? left : gone).push_back(static_cast<int64_t>(i));
  if (gone.empty()) return;
  const auto prompted = book_.prompted_frames();
  if (!left.empty())
    for (const int64_t i : gone)
      for (const int64_t frame : prompted[i]) clear_inputs(frame, book_.ids()[i]);
  book_.select(left);
  if (left.empty())
    forget_tracking();
  else
    bank_.select_objects(left);
}

MemoryView MaskletBucket::view(const TrackContext& context, int64_t frame, bool reverse) const {
  MemoryView view =
      memory_view(bank_, frame, reverse, context.options, context.network.memory_frames(), context.num_frames);
  view.objects = static_cast<int64_t>(ids().size());
  return view;
}

BucketFrame MaskletBucket::stored(int64_t frame) const {
  const FrameOutput& output = *bank_.conditioning(frame);
  return {ids(), output.masks, output.object_logits.flatten(), {}};
}

void MaskletBucket::store_tracked(int64_t frame, bool reverse, FrameOutput output) {
  bank_.set_tracked(frame, std::move(output));
  tracked_in_reverse_[frame] = reverse;
}

void MaskletBucket::hide_around(const TrackContext& context, int64_t frame) {
  // The reference does so for single objects only.
  if (ids().size() == 1) bank_.hide_around(frame, context.network.memory_frames());
}

void MaskletBucket::meet_conditioning(const TrackContext& context, int64_t frame, bool reverse) {
  hide_around(context, frame);
  tracked_in_reverse_[frame] = reverse;
}

void MaskletBucket::move_to_host(const TrackContext& context, int64_t frame) {
  bank_.move_to_host(frame, book_.prompted_frames(), context.options, context.network.memory_frames(),
                     context.num_frames);
}

void MaskletBucket::prune(const TrackContext& context, int64_t frame) {
  for (const int64_t gone : bank_.prune(frame, book_.prompted_frames(), context.options,
                                        context.network.memory_frames(), context.num_frames))
    book_.erase_frame(gone);
  // Older frames cannot be prompted any more, which is all that their directions were kept for.
  tracked_in_reverse_.erase(tracked_in_reverse_.begin(), tracked_in_reverse_.lower_bound(frame));
}

int64_t MaskletBucket::frame_bytes(const TrackContext& context, int64_t more) const {
  constexpr int64_t kNumbers = 64;  // logit and IoU
  const Program& program = context.model.program();
  const auto& a = program.architecture();
  const int64_t grid = context.model.grid(), side = context.model.mask_side();
  const auto element = static_cast<int64_t>(c10::elementSize(program.target().dtype));
  const int64_t object = (a.memory_size * grid * grid + a.hidden_size) * element + side * side * 4 + kNumbers;
  return (static_cast<int64_t>(ids().size()) + more) * object;
}

int64_t MaskletBucket::bytes() const {
  return bank_.bytes() + book_.bytes();
}

}  // namespace sam3
