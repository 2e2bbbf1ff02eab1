#include "video/tracker/multiplex_bank.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cstdlib>
#include <functional>

#include "core/host_values.h"
#include "video/tracker/click_network.h"
#include "video/tracker/multiplex_memory.h"

namespace sam3 {
namespace {

constexpr float kNotThere = -10.0f;  // object logit

// The wanted rows of `of` [N,...], `fallback` where they are not there.
at::Tensor rows_of(const SlotOutput& output, const at::Tensor& of, const std::vector<int64_t>& wanted, float fallback) {
  if (wanted == output.ids) return of;
  std::vector<at::Tensor> rows;
  for (const int64_t id : wanted) {
    const int64_t row = output.row_of(id);
    rows.push_back(row < 0 ? at::full_like(of[0], fallback) : of[row]);
  }
  return at::stack(rows);
}

}  // namespace

int64_t SlotOutput::row_of(int64_t id) const {
  const auto place = std::find(ids.begin(), ids.end(), id);
  return place == ids.end() ? -1 : place - ids.begin();
}

at::Tensor SlotOutput::masks_of(const std::vector<int64_t>& wanted) const {
  return rows_of(*this, masks, wanted, kAbsent);
}

at::Tensor SlotOutput::logits_of(const std::vector<int64_t>& wanted) const {
  return rows_of(*this, object_logits, wanted, kNotThere);
}

const SlotOutput* MultiplexBank::find(int64_t frame) const {
  const auto found = outputs_.find(frame);
  return found == outputs_.end() ? nullptr : &found->second;
}

const SlotOutput* MultiplexBank::conditioning(int64_t frame) const {
  return std::find(order_.begin(), order_.end(), frame) == order_.end() ? nullptr : find(frame);
}

std::set<int64_t> MultiplexBank::tracked_frames() const {
  std::set<int64_t> frames;
  for (const auto& [frame, output] : outputs_)
    if (!conditioning(frame)) frames.insert(frame);
  return frames;
}

void MultiplexBank::forget_projections(int64_t frame) {
  frame_projections_.erase(frame);
  pointer_projections_.erase(frame);
}

void MultiplexBank::set(int64_t frame, SlotOutput output, bool conditions) {
  outputs_[frame] = std::move(output);
  if (conditions && !conditioning(frame)) order_.push_back(frame);
  forget_projections(frame);
}

void MultiplexBank::set_memory(int64_t frame, const at::Tensor& memory, const at::Tensor& image) {
  const auto found = outputs_.find(frame);
  if (found == outputs_.end()) return;
  found->second.memory = memory;
  found->second.image = image;
  frame_projections_.erase(frame);
}

void MultiplexBank::downgrade(int64_t frame) {
  std::erase(order_, frame);
}

void MultiplexBank::select_buckets(const std::vector<int64_t>& buckets) {
  for (auto& [frame, output] : outputs_)
    for (at::Tensor* tensor : {&output.memory, &output.pointers})
      if (tensor->defined()) *tensor = tensor->index_select(0, index_tensor(buckets, tensor->device()));
  frame_projections_.clear();
  pointer_projections_.clear();
}

void MultiplexBank::clear() {
  *this = MultiplexBank();
}

MultiplexBank MultiplexBank::extracted(int64_t id, int64_t place) const {
  MultiplexBank out;
  for (const auto& [frame, output] : outputs_) {
    const int64_t row = output.row_of(id);
    if (row < 0) continue;
    SlotOutput one;
    one.pointers = at::zeros_like(output.pointers.narrow(0, 0, 1));
    one.pointers[0][0].copy_(output.pointers.flatten(0, 1)[place]);
    if (output.masks.defined()) one.masks = output.masks.narrow(0, row, 1).clone();
    one.object_logits = output.object_logits.narrow(0, row, 1).clone();
    one.ids = {id};
    if (output.conditioning.contains(id)) one.conditioning = {id};
    out.outputs_.emplace(frame, std::move(one));
  }
  for (const int64_t frame : order_)
    if (out.find(frame)) out.order_.push_back(frame);
  out.exceeds_ = exceeds_;
  return out;
}

void MultiplexBank::keep_projections(const std::set<int64_t>& frames, const std::set<int64_t>& pointers) const {
  std::erase_if(frame_projections_, [&](const auto& item) { return !frames.contains(item.first); });
  std::erase_if(pointer_projections_, [&](const auto& item) { return !pointers.contains(item.first); });
}

// Only `frame` and later ones can lose or get input. So the conditioning frames that can be chosen are the latest ones;
// what is not chosen counts as tracked, of which those that are near are looked at. It makes no difference which
// objects are left: a frame is attended to for all of them or for none.
std::vector<int64_t> MultiplexBank::prune(int64_t frame) {
  using Plan = MultiplexMemoryPlan;
  std::vector<int64_t> latest;
  for (const int64_t t : order_)
    if (t < frame) latest.push_back(t);
  std::sort(latest.begin(), latest.end(), std::greater<>());
  if (latest.size() > Plan::kConditioning) latest.resize(Plan::kConditioning);
  const std::set<int64_t> chosen(latest.begin(), latest.end());
  std::vector<int64_t> gone;
  for (auto it = outputs_.begin(); it != outputs_.end() && it->first < frame;) {
    auto& [t, output] = *it;
    output.masks.reset();
    if (!chosen.contains(t) && t <= frame - Plan::kFrames) {
      output.memory.reset();
      output.image.reset();
      frame_projections_.erase(t);
    }
    if (chosen.contains(t) || t > frame - Plan::kPointers) {
      ++it;
      continue;
    }
    if (conditioning(t)) {
      gone.push_back(t);
      std::erase(order_, t);
      exceeds_ = true;
    }
    forget_projections(t);
    it = outputs_.erase(it);
  }
  return gone;
}

// Frames that are near, and those that condition, are looked at again.
void MultiplexBank::move_to_host(int64_t frame) {
  for (auto& [t, output] : outputs_) {
    if (std::llabs(t - frame) < MultiplexMemoryPlan::kPointers || conditioning(t)) continue;
    for (at::Tensor* tensor : {&output.memory, &output.image, &output.pointers, &output.masks})
      if (tensor->defined()) *tensor = tensor->to(at::kCPU);
  }
}

int64_t MultiplexBank::extracted_bytes(int64_t id) const {
  int64_t total = 0;
  for (const auto& [frame, output] : outputs_) {
    if (output.row_of(id) < 0) continue;
    const auto objects = static_cast<int64_t>(output.ids.size());
    total += bytes_of({&output.pointers}) / output.pointers.size(0) +
             bytes_of({&output.masks, &output.object_logits}) / objects;
  }
  return total;
}

int64_t MultiplexBank::projection_bytes() const {
  int64_t total = 0;
  for (const auto* projections : {&frame_projections_, &pointer_projections_})
    for (const auto& [frame, projection] : *projections) total += bytes_of({&projection.keys, &projection.values});
  return total;
}

int64_t MultiplexBank::sum_bytes(bool host_only) const {
  int64_t total = 0;
  for (const auto& [frame, output] : outputs_)
    total +=
        bytes_of({&output.memory, &output.image, &output.pointers, &output.masks, &output.object_logits}, host_only);
  for (const auto* projections : {&frame_projections_, &pointer_projections_})
    for (const auto& [frame, projection] : *projections)
      total += bytes_of({&projection.keys, &projection.values}, host_only);
  return total;
}

int64_t MultiplexBank::bytes() const {
  return sum_bytes(/*host_only=*/false);
}

int64_t MultiplexBank::host_bytes() const {
  return sum_bytes(/*host_only=*/true);
}

}  // namespace sam3
