#include "masks/mask_bits.h"

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>

#include <algorithm>
#include <bit>
#include <cstring>

#include "core/error.h"

namespace sam3 {
namespace {

// Rows [top, bottom) and words [left, right) that hold all set pixels of a mask, and their number.
struct Extent {
  int64_t top = 0, bottom = 0, left = 0, right = 0, area = 0;
};

Extent extent_of(const MaskBits& masks, int64_t mask) {
  Extent e{masks.height(), 0, masks.words_per_row(), 0, 0};
  for (int64_t y = 0; y < masks.height(); y++) {
    const uint64_t* row = masks.row(mask, y);
    for (int64_t w = 0; w < masks.words_per_row(); w++) {
      if (row[w] == 0) continue;
      e.area += std::popcount(row[w]);
      e.top = std::min(e.top, y);
      e.bottom = y + 1;
      e.left = std::min(e.left, w);
      e.right = std::max(e.right, w + 1);
    }
  }
  return e;
}

std::vector<Extent> extents_of(const MaskBits& masks) {
  std::vector<Extent> out;
  for (int64_t i = 0; i < masks.count(); i++) out.push_back(extent_of(masks, i));
  return out;
}

}  // namespace

MaskBits::MaskBits(int64_t count, int64_t height, int64_t width)
    : count_(count), height_(height), width_(width), words_((width + 63) / 64) {
  bits_.assign(static_cast<size_t>(count_ * height_ * words_), 0);
}

MaskBits MaskBits::above_zero(const at::Tensor& logits) {
  if (logits.dim() != 3) throw Error(ERR_INTERNAL, "MaskBits::above_zero expects [N, height, width].");
  MaskBits out(logits.size(0), logits.size(1), logits.size(2));
  if (logits.numel() == 0) return out;
  if (!logits.is_cpu()) {
    const auto packed = pack_above_zero(logits).to(at::kCPU);
    std::memcpy(out.bits_.data(), packed.const_data_ptr<uint8_t>(), static_cast<size_t>(packed.numel()));
    return out;
  }
  const auto host = logits.to(at::kFloat).contiguous();
  const float* pixel = host.const_data_ptr<float>();
  uint64_t* word = out.bits_.data();
  for (int64_t row = 0; row < out.count_ * out.height_; row++)
    for (int64_t x = 0; x < out.width_; x += 64) {
      const int64_t n = std::min<int64_t>(64, out.width_ - x);
      uint64_t bits = 0;
      for (int64_t i = 0; i < n; i++) bits |= static_cast<uint64_t>(pixel[i] > 0.0f) << i;
      *word++ = bits;
      pixel += n;
    }
  return out;
}

at::Tensor pack_above_zero(const at::Tensor& logits) {
  static_assert(std::endian::native == std::endian::little, "bytes are copied into words as they lie");
  const int64_t n = logits.size(0), h = logits.size(1), w = logits.size(2), words = (w + 63) / 64;
  const auto set = at::constant_pad_nd((logits > 0).to(at::kByte), {0, words * 64 - w});
  const auto weights = at::pow(2, at::arange(8, set.options())).to(at::kByte);
  return (set.view({n, h, words * 8, 8}) * weights).sum(-1, /*keepdim=*/false, at::kByte).contiguous();
}

void MaskBits::fill(int64_t mask, int64_t y, int64_t begin, int64_t end, bool value) {
  uint64_t* row = &bits_[(mask * height_ + y) * words_];
  for (int64_t x = begin; x < end;) {
    const int64_t bit = x % 64, n = std::min(end - x, 64 - bit);
    const uint64_t part = (n == 64 ? ~uint64_t{0} : (uint64_t{1} << n) - 1) << bit;
    if (value)
      row[x / 64] |= part;
    else
      row[x / 64] &= ~part;
    x += n;
  }
}

void MaskBits::clear(int64_t mask) {
  std::fill_n(bits_.begin() + mask * height_ * words_, height_ * words_, 0);
}

int64_t MaskBits::area(int64_t mask) const {
  int64_t area = 0;
  const uint64_t* word = bits_.data() + mask * height_ * words_;
  for (int64_t i = 0; i < height_ * words_; i++) area += std::popcount(word[i]);
  return area;
}

std::array<int64_t, 4> MaskBits::box(int64_t mask) const {
  const Extent e = extent_of(*this, mask);
  if (e.area == 0) return {0, 0, 0, 0};
  int64_t left = width_, right = 0;
  for (int64_t y = e.top; y < e.bottom; y++) {
    const uint64_t* words = row(mask, y);
    for (int64_t w = e.left; w < e.right; w++) {
      if (words[w] == 0) continue;
      left = std::min<int64_t>(left, w * 64 + std::countr_zero(words[w]));
      right = std::max<int64_t>(right, w * 64 + 63 - std::countl_zero(words[w]));
    }
  }
  return {left, e.top, right, e.bottom - 1};
}

MaskBits MaskBits::select(const std::vector<int64_t>& masks) const {
  MaskBits out(static_cast<int64_t>(masks.size()), height_, width_);
  const int64_t words = height_ * words_;
  for (size_t i = 0; i < masks.size(); i++)
    std::copy_n(bits_.begin() + masks[i] * words, words, out.bits_.begin() + static_cast<int64_t>(i) * words);
  return out;
}

namespace {

// Intersections of every pair, each over what `whole` makes of it and the two areas.
template <class Whole>
std::vector<float> overlaps(const MaskBits& a, const MaskBits& b, Whole&& whole) {
  if (a.count() > 0 && b.count() > 0 && (a.height() != b.height() || a.width() != b.width()))
    throw Error(ERR_INTERNAL, "Overlaps are those of masks of one size.");
  const auto in_a = extents_of(a), in_b = extents_of(b);
  std::vector<float> out(in_a.size() * in_b.size());
  for (size_t i = 0; i < in_a.size(); i++)
    for (size_t j = 0; j < in_b.size(); j++) {
      const int64_t top = std::max(in_a[i].top, in_b[j].top), bottom = std::min(in_a[i].bottom, in_b[j].bottom);
      const int64_t left = std::max(in_a[i].left, in_b[j].left), right = std::min(in_a[i].right, in_b[j].right);
      int64_t both = 0;
      for (int64_t y = top; y < bottom; y++) {
        const uint64_t *row_a = a.row(static_cast<int64_t>(i), y), *row_b = b.row(static_cast<int64_t>(j), y);
        for (int64_t w = left; w < right; w++) both += std::popcount(row_a[w] & row_b[w]);
      }
      const int64_t of = std::max<int64_t>(whole(both, in_a[i].area, in_b[j].area), 1);
      out[i * in_b.size() + j] = static_cast<float>(both) / static_cast<float>(of);
    }
  return out;
}

}  // namespace

std::vector<float> mask_iou(const MaskBits& a, const MaskBits& b) {
  return overlaps(a, b, [](int64_t both, int64_t area, int64_t other) { return area + other - both; });
}

std::vector<float> mask_iom(const MaskBits& a, const MaskBits& b) {
  return overlaps(a, b, [](int64_t, int64_t area, int64_t other) { return std::min(area, other); });
}

std::vector<float> mask_covered(const MaskBits& a, const MaskBits& b) {
  return overlaps(a, b, [](int64_t, int64_t area, int64_t) { return area; });
}

}  // namespace sam3
