#include "video/tracker/mask_prompts.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "core/error.h"
#include "core/host_values.h"
#include "masks/mask_overlap.h"

namespace sam3 {
namespace {

// float32 [K,h,w] in 0..1 -> [K,height,width].
at::Tensor resized(const at::Tensor& masks, int64_t height, int64_t width) {
  if (masks.size(1) == height && masks.size(2) == width) return masks;
  return at::_upsample_bilinear2d_aa(masks.unsqueeze(1), {height, width}, /*align_corners=*/false).squeeze(1);
}

}  // namespace

MaskPrompts prompts_of_detections(const at::Tensor& masks, int64_t grid, int64_t height, int64_t width) {
  const int64_t side = 16 * grid;
  const at::Tensor large = at::upsample_bilinear2d(masks.to(at::kFloat).unsqueeze(1), {side, side}, false).squeeze(1);
  const at::Tensor inputs = large.gt(0).to(at::kFloat);
  return {inputs, resized(inputs, height, width) > 0.5f};
}

MaskPrompts prompts_of_masks(const at::Tensor& masks, c10::Device device, int64_t grid, int64_t height, int64_t width) {
  if (masks.dim() != 3 || masks.numel() == 0) throw Error(ERR_INVALID_ARGUMENT, "A mask needs height x width values.");
  const at::Tensor values = masks.to(device, at::kFloat);
  const int64_t side = 16 * grid;
  return {resized(values, side, side), resized(values, height, width) > 0.5f};
}

FinalMasks::FinalMasks(const at::Tensor& masks, int64_t size, int64_t step) : masks_(masks), size_(size), step_(step) {
  kept_ = keeps_area([this](int64_t begin, int64_t count) { return high(begin, count); }, masks.size(0), step);
}

at::Tensor FinalMasks::high(int64_t begin, int64_t count) const {
  return at::upsample_bilinear2d(masks_.narrow(0, begin, count).unsqueeze(1), {size_, size_}, false).squeeze(1);
}

FinalMasks FinalMasks::select(const std::vector<int64_t>& rows) const {
  FinalMasks out = *this;
  const at::Tensor index = index_tensor(rows, masks_.device());
  out.masks_ = masks_.index_select(0, index);
  out.kept_ = kept_.index_select(0, index);
  return out;
}

at::Tensor FinalMasks::logits(int64_t begin, int64_t count) const {
  const at::Tensor large = high(begin, count);
  return at::where(kept_.narrow(0, begin, count).view({-1, 1, 1}), large, large.clamp_max(-10.0f));
}

at::Tensor FinalMasks::object_logits() const {
  std::vector<at::Tensor> present;
  const int64_t total = masks_.size(0);
  for (int64_t begin = 0; begin < total; begin += step_)
    present.push_back(logits(begin, std::min(step_, total - begin)).flatten(1).gt(0).any(1, /*keepdim=*/true));
  return at::where(at::cat(present), 10.0f, -10.0f).to(at::kFloat);
}

}  // namespace sam3
