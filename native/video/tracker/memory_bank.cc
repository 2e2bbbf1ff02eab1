#include "video/tracker/memory_bank.h"

#include <ATen/Functions.h>

#include <algorithm>
#include <array>
#include <cstdlib>

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

void MemoryBank::set_conditioning(int64_t frame, FrameOutput output) {
  erase_tracked(frame);
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
  tracked_[frame] = std::move(output);
}

void MemoryBank::set_memory(int64_t frame, const at::Tensor& memory) {
  for (auto& [t, output] : conditioning_)
    if (t == frame) output.memory = memory;
  if (const auto found = tracked_.find(frame); found != tracked_.end()) {
    found->second.memory = memory;
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
  moving_.reset();
}

bool MemoryBank::exceeds() const {
  return std::find(forgot_.begin(), forgot_.end(), true) != forgot_.end();
}

void MemoryBank::erase_tracked(int64_t frame) {
  tracked_.erase(frame);
  scores_.erase(frame);
  hidden_.erase(frame);
}

// Tensors on their way to the host.
struct MemoryBank::Move {
  std::vector<at::Tensor> from;
  HostCopy copy;
};

template <class Body>
void MemoryBank::each_output(Body&& body) {
  for (auto& [t, output] : conditioning_) body(t, output);
  for (auto& [t, output] : tracked_) body(t, output);
}

void MemoryBank::move_to_host(int64_t frame, const std::vector<std::set<int64_t>>& prompted,
                              const TrackerOptions& options, int64_t memory_frames, int64_t num_frames) {
  // By size of their elements, so that each has its place in one block of bytes.
  const auto tensors_of = [](FrameOutput& output) {
    return std::array{&output.masks, &output.memory, &output.pointers};
  };
  if (moving_) {
    moving_->copy.wait_quietly();  // for nothing: the host has read what the device made later
    each_output([&](int64_t, FrameOutput& output) {
      for (at::Tensor* tensor : tensors_of(output))
        for (size_t i = 0; i < moving_->from.size(); i++)
          if (const at::Tensor& old = moving_->from[i]; tensor->is_same(old))
            *tensor = moving_->copy.tensors()[i].view(old.scalar_type()).view(old.sizes());
    });
    moving_.reset();
  }
  KeptFrames kept = needed_from(frame, prompted, options, memory_frames, num_frames);
  const auto choice = select_closest_cond_frames(frame, conditioning_frames(), options.max_cond_frames_in_attn,
                                                 options.keep_first_cond_frame, exceeds());
  kept.features.insert(choice.selected.begin(), choice.selected.end());
  // Its neighbours on both sides: the way may turn.
  const int64_t window = std::max(options.max_obj_ptrs_in_encoder, memory_frames);
  Move move;
  std::vector<at::Tensor> bytes;
  for (const size_t kind : {0, 1, 2})
    each_output([&](int64_t t, FrameOutput& output) {
      if (std::llabs(t - frame) < window || kept.features.count(t) || kept.pointers.count(t)) return;
      at::Tensor& tensor = *tensors_of(output)[kind];
      if (!tensor.defined() || tensor.is_cpu()) return;
      move.from.push_back(tensor);
      bytes.push_back(tensor.contiguous().view(-1).view(at::kByte));
    });
  if (bytes.empty()) return;
  move.copy = HostCopy(bytes);
  moving_ = std::make_shared<const Move>(std::move(move));
}

int64_t MemoryBank::sum_bytes(bool host_only) const {
  int64_t total = 0;
  const auto add = [&](const FrameOutput& output) {
    total += bytes_of({&output.memory, &output.masks, &output.pointers, &output.object_logits, &output.iou}, host_only);
  };
  for (const auto& [t, output] : conditioning_) add(output);
  for (const auto& [t, output] : tracked_) add(output);
  return total;
}

int64_t MemoryBank::bytes() const {
  return sum_bytes(/*host_only=*/false);
}

int64_t MemoryBank::host_bytes() const {
  return sum_bytes(/*host_only=*/true);
}

}  // namespace sam3
