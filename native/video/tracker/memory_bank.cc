#include "video/tracker/memory_bank.h"

#include <ATen/Functions.h>

#include <algorithm>

#include "core/host_values.h"

namespace sam3 {

const FrameOutput* MemoryBank::conditioning(int64_t frame) const {
  for (const auto& [t, output] : conditioning_)
    if (t == frame) return &output;
  return nullptr;
}

const FrameOutput* MemoryBank::tracked(int64_t frame) const {
  const auto found = tracked_.find(frame);
  return found == tracked_.end() ? nullptr : &found->second;
}

const FrameOutput* MemoryBank::tracked_for_objects(int64_t frame) const {
  return hidden_.count(frame) ? nullptr : tracked(frame);
}

const FrameOutput* MemoryBank::for_objects(int64_t frame) const {
  const FrameOutput* output = conditioning(frame);
  return output ? output : tracked_for_objects(frame);
}

std::vector<int64_t> MemoryBank::conditioning_frames() const {
  std::vector<int64_t> frames;
  for (const auto& [t, output] : conditioning_) frames.push_back(t);
  return frames;
}

FrameOutput MemoryBank::placed(FrameOutput output) const {
  if (on_host_)
    for (at::Tensor* tensor : {&output.memory, &output.masks, &output.pointers})
      if (tensor->defined()) *tensor = tensor->to(at::kCPU);
  return output;
}

void MemoryBank::set_conditioning(int64_t frame, FrameOutput output) {
  erase_tracked(frame);
  output = placed(std::move(output));
  for (auto& [t, old] : conditioning_)
    if (t == frame) {  // keeps its place
      old = std::move(output);
      return;
    }
  conditioning_.emplace_back(frame, std::move(output));
}

void MemoryBank::set_tracked(int64_t frame, FrameOutput output) {
  erase_tracked(frame);
  if (output.score) scores_[frame] = *output.score;
  tracked_[frame] = placed(std::move(output));
}

void MemoryBank::set_memory(int64_t frame, const at::Tensor& memory) {
  const at::Tensor kept = on_host_ ? memory.to(at::kCPU) : memory;
  for (auto& [t, output] : conditioning_)
    if (t == frame) output.memory = kept;
  if (const auto found = tracked_.find(frame); found != tracked_.end()) {
    found->second.memory = kept;
    hidden_.erase(frame);
  }
}

bool MemoryBank::downgrade(int64_t frame) {
  for (auto it = conditioning_.begin(); it != conditioning_.end(); ++it) {
    if (it->first != frame) continue;
    FrameOutput output = std::move(it->second);
    conditioning_.erase(it);
    set_tracked(frame, std::move(output));
    return true;
  }
  return false;
}

void MemoryBank::hide_around(int64_t frame, int64_t distance) {
  for (auto it = tracked_.lower_bound(frame - distance); it != tracked_.end() && it->first <= frame + distance; ++it)
    hidden_.insert(it->first);
}

void MemoryBank::select_objects(const std::vector<int64_t>& rows) {
  const auto select = [&](at::Tensor& tensor) {
    if (tensor.defined()) tensor = tensor.index_select(0, index_tensor(rows, tensor.device()));
  };
  const auto select_all = [&](FrameOutput& output) {
    for (at::Tensor* tensor : {&output.memory, &output.masks, &output.pointers, &output.object_logits, &output.iou})
      select(*tensor);
    output.score = cal_mem_score(output.object_logits, output.iou);
  };
  for (auto& [t, output] : conditioning_) select_all(output);
  scores_.clear();
  for (auto& [t, output] : tracked_) {
    select_all(output);
    scores_[t] = *output.score;
  }
  hidden_.clear();
  if (forgot_.empty()) return;
  std::vector<bool> forgot;
  for (const int64_t row : rows) forgot.push_back(forgot_[row]);
  forgot_ = std::move(forgot);
}

void MemoryBank::clear() {
  conditioning_.clear();
  tracked_.clear();
  scores_.clear();
  hidden_.clear();
  forgot_.clear();
}

bool MemoryBank::exceeds() const {
  return std::find(forgot_.begin(), forgot_.end(), true) != forgot_.end();
}

void MemoryBank::erase_tracked(int64_t frame) {
  tracked_.erase(frame);
  scores_.erase(frame);
  hidden_.erase(frame);
}

int64_t MemoryBank::bytes() const {
  int64_t total = 0;
  const auto add = [&](const FrameOutput& output) {
    for (const at::Tensor* tensor :
         {&output.memory, &output.masks, &output.pointers, &output.object_logits, &output.iou})
      if (tensor->defined()) total += static_cast<int64_t>(tensor->nbytes());
  };
  for (const auto& [t, output] : conditioning_) add(output);
  for (const auto& [t, output] : tracked_) add(output);
  return total;
}

}  // namespace sam3
