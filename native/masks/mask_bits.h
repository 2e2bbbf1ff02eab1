#pragma once
#include <ATen/core/Tensor.h>

#include <array>
#include <cstdint>
#include <vector>

namespace sam3 {

// Binary masks of one size on the host, one bit per pixel, each row padded to whole 64-bit words. All decisions of the
// concept logic are made on these: 288 x 288 pixels are 11 KB, and intersections are taken a word at a time.
class MaskBits {
 public:
  MaskBits() = default;
  MaskBits(int64_t count, int64_t height, int64_t width);

  // What is above zero in logits [N, height, width], any device and float type.
  static MaskBits above_zero(const at::Tensor& logits);

  int64_t count() const { return count_; }
  int64_t height() const { return height_; }
  int64_t width() const { return width_; }
  int64_t words_per_row() const { return words_; }
  const uint64_t* row(int64_t mask, int64_t y) const { return &bits_[(mask * height_ + y) * words_]; }

  bool get(int64_t mask, int64_t y, int64_t x) const { return row(mask, y)[x / 64] >> (x % 64) & 1; }
  // Pixels [begin, end) of a row.
  void fill(int64_t mask, int64_t y, int64_t begin, int64_t end, bool value);
  void clear(int64_t mask);

  int64_t area(int64_t mask) const;
  bool any(int64_t mask) const { return area(mask) > 0; }
  // x0 y0 x1 y1 of the set pixels, both ends included; zeros where there are none.
  std::array<int64_t, 4> box(int64_t mask) const;

  MaskBits select(const std::vector<int64_t>& masks) const;

 private:
  int64_t count_ = 0, height_ = 0, width_ = 0, words_ = 0;
  std::vector<uint64_t> bits_;
};

// The words of MaskBits::above_zero as bytes [N, height, 8 * words per row], made on the device of the logits: a mask
// then crosses to the host as 11 KB instead of 330.
at::Tensor pack_above_zero(const at::Tensor& logits);

// Intersection over union of every pair, [a.count() * b.count()] row-major; 0 where both are empty.
// Source: Meta's mask_iou (float32 division of exact counts).
std::vector<float> mask_iou(const MaskBits& a, const MaskBits& b);
// The same over the area of the smaller one (IoM); 0 where one is empty.
std::vector<float> mask_iom(const MaskBits& a, const MaskBits& b);
// The same over the area of the mask of `a`.
std::vector<float> mask_covered(const MaskBits& a, const MaskBits& b);

}  // namespace sam3
