#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "masks/mask_bits.h"
#include "masks/mask_runs.h"

namespace sam3 {

// Mask logits where they are needed: the network works on the device, the concept logic and the output on the host.
// The changes of the logic are made to all three.
class LogitMasks {
 public:
  LogitMasks() = default;
  // [N, h, w] float32. The caller's tensor stays as it is.
  explicit LogitMasks(const at::Tensor& device);
  // The same, where the host has them already; one tensor where the device is the CPU.
  LogitMasks(const at::Tensor& device, const at::Tensor& host);

  int64_t count() const { return bits_.count(); }
  const at::Tensor& device() const { return device_; }
  const at::Tensor& host() const { return host_; }
  const MaskBits& bits() const { return bits_; }

  // Holes become +0.1 and sprinkles -0.1, both of at most `max_area` pixels (see repair_mask).
  void repair(int64_t max_area, bool fill_holes = true, bool remove_sprinkles = true);
  // Every pixel of one mask.
  void set(int64_t mask, float logit);
  // Pixels of one mask that lie on the other side of zero in `logits` [h,w] become what they are there.
  void correct(int64_t mask, const at::Tensor& logits);
  LogitMasks select(const std::vector<int64_t>& masks) const;

 private:
  void own();
  at::Tensor device_, host_;  // one tensor where the device is the CPU
  MaskBits bits_;
  bool owned_ = false;
};

// Holes of a mask: 8-connected components of logits <= 0 with at most `max_area` pixels are set to `fill`.
// Source: Meta's postprocessing of clicked masks (at most 256 low-resolution pixels become +10).
// `masks` [N, h, w] on the host, any float type; returns float32.
at::Tensor fill_holes(const at::Tensor& masks, int64_t max_area, float fill);

// One mask with its holes and sprinkles repaired.
MaskRuns repaired(const MaskRuns& mask, int64_t height, int64_t max_area);

// Pixels that several masks claim go to the one with the highest score (of equal ones the first); masks whose score is
// not above zero lose all of theirs. A single mask stays as it is.
// Source: Meta's _apply_object_wise_non_overlapping_constraints with background value 0.
void make_exclusive(std::vector<MaskRuns>& masks, const std::vector<float>& scores, int64_t height);

}  // namespace sam3
