#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <utility>
#include <vector>

namespace sam3 {

// Masks on their way from a prompt or a detection into the tracker.
struct MaskPrompts {
  at::Tensor inputs;  // float32 [K,16G,16G] in 0..1: what the network takes
  at::Tensor given;   // bool [K,height,width] of the video: what is shown and becomes memory
};

// `masks` [K,4G,4G]: logits of detections.
MaskPrompts prompts_of_detections(const at::Tensor& masks, int64_t grid, int64_t height, int64_t width);
// `masks` [K,h,w]: above 0.5 is the object, values in between are resized. ERR_INVALID_ARGUMENT where that is no mask.
MaskPrompts prompts_of_masks(const at::Tensor& masks, c10::Device device, int64_t grid, int64_t height, int64_t width);

// Masks [N,4G,4G] of all objects, at the size at which they become memory: one that loses most of its area to others is
// at most -10 there.
class FinalMasks {
 public:
  // At most `step` masks at a time are that large.
  FinalMasks(const at::Tensor& masks, int64_t size, int64_t step);

  FinalMasks select(const std::vector<int64_t>& rows) const;
  at::Tensor logits(int64_t begin, int64_t count) const;  // [count,size,size]
  // Whether anything is left of a mask stands for the object's logit: float32 [N,1] of +-10.
  at::Tensor object_logits() const;

 private:
  at::Tensor high(int64_t begin, int64_t count) const;

  at::Tensor masks_, kept_;
  int64_t size_ = 0, step_ = 1;
};

}  // namespace sam3
