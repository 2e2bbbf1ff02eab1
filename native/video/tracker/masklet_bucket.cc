// A bucket's objects and frames. What their prompts are made of is in bucket_prompts.cc.
#include "video/tracker/masklet_bucket.h"

#include <ATen/Functions.h>

#include <algorithm>
#include <cstdlib>

#include "core/error.h"

namespace sam3 {

size_t MaskletBucket::index_of(int64_t id) const {
  return static_cast<size_t>(std::find(ids_.begin(), ids_.end(), id) - ids_.begin());
}

bool MaskletBucket::contains(int64_t id) const {
  return index_of(id) < ids_.size();
}

void MaskletBucket::check_new(int64_t id) const {
  // An output of a frame has a row for every object: who comes later would be missing in those that exist.
  if (started_ && !contains(id))
    throw Error(ERR_INTERNAL, "Object " + std::to_string(id) + " cannot join a bucket that is tracked already.");
}

MaskletBucket::Masklet& MaskletBucket::masklet(int64_t id) {
  const size_t index = index_of(id);
  if (index == ids_.size()) {
    ids_.push_back(id);
    masklets_.emplace_back();
  }
  return masklets_[index];
}

void MaskletBucket::clear_inputs(int64_t frame, int64_t id) {
  Masklet& cleared = masklet(id);
  cleared.points.erase(frame);
  cleared.masks.erase(frame);
  cleared.pending.erase(frame);
  if (std::any_of(masklets_.begin(), masklets_.end(), [&](const Masklet& m) { return m.prompted(frame); })) return;
  if (bank_.downgrade(frame)) tracked_in_reverse_.erase(frame);
  if (!bank_.has_conditioning()) forget_tracking();
}

void MaskletBucket::forget_tracking() {
  bank_.clear();
  tracked_in_reverse_.clear();
  started_ = false;
}

void MaskletBucket::remove(const std::vector<int64_t>& ids) {
  std::vector<int64_t> left;
  for (size_t i = 0; i < ids_.size(); i++)
    if (std::find(ids.begin(), ids.end(), ids_[i]) == ids.end()) left.push_back(static_cast<int64_t>(i));
  if (left.size() == ids_.size()) return;
  if (left.empty()) {
    ids_.clear();
    masklets_.clear();
    forget_tracking();
    return;
  }
  for (size_t i = 0; i < ids_.size(); i++) {
    if (std::find(left.begin(), left.end(), static_cast<int64_t>(i)) != left.end()) continue;
    std::set<int64_t> frames = masklets_[i].masks;
    for (const auto& [frame, points] : masklets_[i].points) frames.insert(frame);
    for (const int64_t frame : frames) clear_inputs(frame, ids_[i]);
  }
  std::vector<int64_t> new_ids;
  std::vector<Masklet> new_masklets;
  for (const int64_t i : left) {
    new_ids.push_back(ids_[i]);
    new_masklets.push_back(std::move(masklets_[i]));
  }
  ids_ = std::move(new_ids);
  masklets_ = std::move(new_masklets);
  bank_.select_objects(left);
}

std::vector<int64_t> MaskletBucket::mask_frames(int64_t id) const {
  std::vector<int64_t> frames;
  const Masklet& of = masklets_.at(index_of(id));
  for (const int64_t frame : of.masks)
    if (!of.points.count(frame)) frames.push_back(frame);
  return frames;
}

std::set<int64_t> MaskletBucket::pending_frames() const {
  std::set<int64_t> frames;
  for (const Masklet& one : masklets_)
    for (const auto& [frame, pending] : one.pending) frames.insert(frame);
  return frames;
}

MemoryView MaskletBucket::view(const TrackContext& context, int64_t frame, bool reverse) const {
  MemoryView view =
      memory_view(bank_, frame, reverse, context.options, context.network.memory_frames(), context.num_frames);
  view.objects = static_cast<int64_t>(ids_.size());
  return view;
}

void MaskletBucket::store_tracked(int64_t frame, bool reverse, FrameOutput output) {
  bank_.set_tracked(frame, std::move(output));
  tracked_in_reverse_[frame] = reverse;
}

void MaskletBucket::hide_around(const TrackContext& context, int64_t frame) {
  // The reference does so for single objects only.
  if (ids_.size() == 1) bank_.hide_around(frame, context.network.memory_frames());
}

void MaskletBucket::meet_conditioning(const TrackContext& context, int64_t frame, bool reverse) {
  hide_around(context, frame);
  tracked_in_reverse_[frame] = reverse;
}

std::vector<std::set<int64_t>> MaskletBucket::prompted_frames() const {
  std::vector<std::set<int64_t>> prompted;
  for (const Masklet& one : masklets_) {
    prompted.push_back(one.masks);
    for (const auto& [t, points] : one.points) prompted.back().insert(t);
  }
  return prompted;
}

void MaskletBucket::move_to_host(const TrackContext& context, int64_t frame) {
  bank_.move_to_host(frame, prompted_frames(), context.options, context.network.memory_frames(), context.num_frames);
}

void MaskletBucket::prune(const TrackContext& context, int64_t frame) {
  for (const int64_t gone :
       bank_.prune(frame, prompted_frames(), context.options, context.network.memory_frames(), context.num_frames))
    for (Masklet& one : masklets_) {
      one.points.erase(gone);
      one.masks.erase(gone);
    }
  // Older frames cannot be prompted any more, which is all that their directions were kept for.
  tracked_in_reverse_.erase(tracked_in_reverse_.begin(), tracked_in_reverse_.lower_bound(frame));
}

int64_t MaskletBucket::bytes() const {
  int64_t total = bank_.bytes();
  for (const Masklet& one : masklets_)
    for (const auto& [frame, pending] : one.pending)
      for (const at::Tensor* tensor : {&pending.logits, &pending.given, &pending.pointer})
        if (tensor->defined()) total += static_cast<int64_t>(tensor->nbytes());
  return total;
}

}  // namespace sam3
