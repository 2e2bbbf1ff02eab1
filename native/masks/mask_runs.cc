#include "masks/mask_runs.h"

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#include <ATen/Functions.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <map>

#include "core/error.h"
#include "core/host_values.h"

namespace sam3 {
namespace {

// Elements of maps that wait on the device at most: 256 MB in float32.
constexpr int64_t kMostWaiting = int64_t{64} << 20;

// Source index and weight of every target position along one axis, as ATen's bilinear kernel computes them.
struct Axis {
  std::vector<int32_t> low, high;
  std::vector<float> weight_high;
  Axis(int64_t from, int64_t to) : low(to), high(to), weight_high(to) {
    const float scale = static_cast<float>(from) / static_cast<float>(to);
    for (int64_t i = 0; i < to; i++) {
      const float source = std::max(0.0f, (static_cast<float>(i) + 0.5f) * scale - 0.5f);
      low[i] = std::min<int32_t>(static_cast<int32_t>(source), static_cast<int32_t>(from - 1));
      high[i] = std::min<int32_t>(low[i] + 1, static_cast<int32_t>(from - 1));
      weight_high[i] = std::min(std::max(source - static_cast<float>(low[i]), 0.0f), 1.0f);
    }
  }
};

// The target positions whose lower source position is i are [first[i], first[i + 1]).
std::vector<int64_t> firsts_of(const Axis& axis, int64_t from) {
  std::vector<int64_t> first(from + 1, static_cast<int64_t>(axis.low.size()));
  for (int64_t i = static_cast<int64_t>(axis.low.size()) - 1; i >= 0; i--) first[axis.low[i]] = i;
  for (int64_t i = from - 1; i >= 0; i--) first[i] = std::min(first[i], first[i + 1]);
  return first;
}

}  // namespace

// How the pixels of a picture of width x height lie in a map of w x h.
struct MaskGrid {
  MaskGrid(int64_t w, int64_t h, int64_t width, int64_t height)
      : across(w, width), down(h, height), first_column(firsts_of(across, w)), first_row(firsts_of(down, h)) {}
  Axis across, down;
  std::vector<int64_t> first_column, first_row;
};

namespace {

using Grid = MaskGrid;

// One bit for each value of a column of a map.
using Bits = std::vector<uint64_t>;

// Which of `count` values lie above `limit`.
void above(const float* values, int64_t count, float limit, uint64_t* bits) {
  for (int64_t begin = 0; begin < count; begin += 64) {
    const int64_t n = std::min<int64_t>(64, count - begin);
    uint64_t word = 0;
    int64_t i = 0;
#if defined(__SSE2__)
    const __m128 limits = _mm_set1_ps(limit);
    for (; i + 4 <= n; i += 4) {
      const __m128 set = _mm_cmpgt_ps(_mm_loadu_ps(values + begin + i), limits);
      word |= static_cast<uint64_t>(_mm_movemask_ps(set)) << i;
    }
#endif
    for (; i < n; i++) word |= static_cast<uint64_t>(values[begin + i] > limit) << i;
    *bits++ = word;
  }
}

// What is above the threshold in a map [w, h], and what is so near to it that rounding may take an interpolated value
// to its other side. Above 0 no rounding does: products and sums of numbers of one sign have that sign.
class Signs {
 public:
  Signs(const float* columns, int64_t w, int64_t h, float threshold)
      : words_((h + 63) / 64), height_(h), set_(w * words_), unsure_(threshold == 0 ? 0 : w * words_) {
    const float margin = 8 * std::numeric_limits<float>::epsilon() * std::abs(threshold);
    Bits high(words_);
    for (int64_t x = 0; x < w; x++) {
      above(columns + x * h, h, threshold, &set_[x * words_]);
      if (unsure_.empty()) continue;
      above(columns + x * h, h, threshold - margin, &unsure_[x * words_]);
      above(columns + x * h, h, threshold + margin, high.data());
      for (int64_t i = 0; i < words_; i++) unsure_[x * words_ + i] &= ~high[i];
    }
  }

  bool set(int64_t column, int64_t row) const { return set_[column * words_ + row / 64] >> (row % 64) & 1; }

  // The rows r for which the corners of the cell between columns a and b, rows r and r + 1, are not all on one side.
  void mixed_rows(int64_t a, int64_t b, std::vector<int32_t>& rows) const {
    rows.clear();
    for (int64_t i = 0; i < words_; i++) {
      uint64_t mixed = word(set_, a, i) ^ word(set_, b, i);
      for (const int64_t column : {a, b}) {
        mixed |= word(set_, column, i) ^ below(set_, column, i);
        if (!unsure_.empty()) mixed |= word(unsure_, column, i) | below(unsure_, column, i);
      }
      if (i == words_ - 1 && height_ % 64) mixed &= (uint64_t{1} << (height_ % 64)) - 1;
      for (; mixed; mixed &= mixed - 1) rows.push_back(static_cast<int32_t>(64 * i + std::countr_zero(mixed)));
    }
  }

 private:
  uint64_t word(const Bits& bits, int64_t column, int64_t i) const { return bits[column * words_ + i]; }
  // The bits of the rows below; below the last row lies the last row again.
  uint64_t below(const Bits& bits, int64_t column, int64_t i) const {
    const uint64_t here = word(bits, column, i);
    if (i + 1 < words_) return here >> 1 | word(bits, column, i + 1) << 63;
    const int64_t last = (height_ - 1) % 64;
    return here >> 1 | (here >> last & 1) << last;
  }

  int64_t words_, height_;
  Bits set_, unsure_;
};

// Collects runs of equal pixels in column-major order.
class RunWriter {
 public:
  void put(bool set, int64_t column, int64_t begin, int64_t end) {
    if (set != current_) {
      mask_.runs.push_back(static_cast<uint32_t>(length_));
      length_ = 0;
      current_ = set;
    }
    length_ += end - begin;
    if (!set) return;
    mask_.area += end - begin;
    left_ = std::min(left_, column);
    right_ = std::max(right_, column + 1);
    top_ = std::min(top_, begin);
    bottom_ = std::max(bottom_, end);
  }
  MaskRuns finish() {
    mask_.runs.push_back(static_cast<uint32_t>(length_));
    if (mask_.area > 0)
      mask_.box = {static_cast<int32_t>(left_), static_cast<int32_t>(top_), static_cast<int32_t>(right_),
                   static_cast<int32_t>(bottom_)};
    mask_.runs.shrink_to_fit();
    return std::move(mask_);
  }

 private:
  MaskRuns mask_;
  bool current_ = false;
  int64_t length_ = 0;
  int64_t left_ = INT64_MAX, right_ = 0, top_ = INT64_MAX, bottom_ = 0;
};

// Puts the target rows between source rows `row` and `row + 1` of column x, which may cross the threshold: once at
// most.
void put_mixed(RunWriter& writer, int64_t x, const Grid& grid, int64_t row, float top, float bottom, float threshold) {
  const int64_t begin = grid.first_row[row], end = grid.first_row[row + 1];
  const bool top_set = top > threshold, bottom_set = bottom > threshold;
  int64_t y = begin;
  if (top_set == bottom_set) {
    y = end;
  } else {
    const auto set_at = [&](int64_t at) {
      const float w = grid.down.weight_high[at];
      return (1.0f - w) * top + w * bottom > threshold;
    };
    while (y < end && set_at(y) == top_set) y++;
  }
  if (y > begin) writer.put(top_set, x, begin, y);
  if (y < end) writer.put(bottom_set, x, y, end);
}

// `columns` holds the source transposed, [w, h], so that a column lies together. Cells of the map whose corners lie on
// one side of the threshold are on that side as a whole, so only the others are looked into.
MaskRuns trace(const float* columns, int64_t w, int64_t h, const Grid& grid, float threshold) {
  const auto height = static_cast<int64_t>(grid.down.low.size());
  const Signs signs(columns, w, h, threshold);
  RunWriter writer;
  std::vector<int32_t> mixed;
  std::vector<float> column(h);
  for (int64_t low = 0; low < w; low++) {
    const int64_t begin = grid.first_column[low], end = grid.first_column[low + 1];
    if (begin == end) continue;
    const int64_t high = grid.across.high[begin];
    signs.mixed_rows(low, high, mixed);
    const float *a = columns + low * h, *b = columns + high * h;
    // Where most cells are mixed, as in noise, the whole column at once is cheaper.
    const bool dense = static_cast<int64_t>(mixed.size()) * 4 > h;
    for (int64_t x = begin; x < end; x++) {
      const float wb = grid.across.weight_high[x], wa = 1.0f - wb;
      const auto value = [&](int64_t row) { return dense ? column[row] : wa * a[row] + wb * b[row]; };
      if (dense)
        for (int64_t row = 0; row < h; row++) column[row] = wa * a[row] + wb * b[row];
      bool set = signs.set(low, 0);
      int64_t y = 0;
      for (const int64_t row : mixed) {
        const int64_t below = std::min(row + 1, h - 1);
        if (grid.first_row[row] > y) writer.put(set, x, y, grid.first_row[row]);
        if (grid.first_row[row + 1] > grid.first_row[row])
          put_mixed(writer, x, grid, row, value(row), value(below), threshold);
        y = grid.first_row[row + 1];
        set = signs.set(low, below);
      }
      if (height > y) writer.put(set, x, y, height);
    }
  }
  return writer.finish();
}

}  // namespace

void PendingMasks::add(at::Tensor maps, float threshold, MaskSet& out, std::vector<float>* values) {
  if (maps.dim() != 3) throw Error(ERR_INTERNAL, "Masks are maps [N, h, w].");
  out.masks.assign(maps.size(0), MaskRuns{});
  if (maps.size(0) == 0) return;
  if (values) values->resize(maps.numel());
  for (int64_t i = 0; i < maps.size(0); i++) masks_.push_back({i, threshold, &out, values});
  auto& grid = grids_[{out.width, out.height}];
  if (!grid) grid = std::make_shared<const MaskGrid>(maps.size(2), maps.size(1), out.width, out.height);
  waiting_ += maps.numel();
  maps_.push_back(std::move(maps));
}

bool PendingMasks::is_full() const {
  return waiting_ > kMostWaiting;
}

void PendingMasks::fetch() {
  if (maps_.empty()) return;
  const auto joined = maps_.size() == 1 ? maps_[0] : at::cat(maps_);
  copy_ = HostCopy({joined.transpose(1, 2).contiguous()});
  maps_.clear();
}

void PendingMasks::trace(size_t i) {
  const auto& [number, threshold, out, values] = masks_[i];
  const at::Tensor map = copy_.tensors()[0].select(0, static_cast<int64_t>(i)).to(at::kFloat);
  const int64_t w = map.size(0), h = map.size(1);
  const float* columns = map.const_data_ptr<float>();
  out->masks[number] = sam3::trace(columns, w, h, *grids_.at({out->width, out->height}), threshold);
  if (!values) return;
  float* rows = values->data() + number * w * h;
  for (int64_t y = 0; y < h; y++)
    for (int64_t x = 0; x < w; x++) *rows++ = columns[x * h + y];
}

void PendingMasks::finish() {
  fetch();
  copy_.wait();
  at::parallel_for(0, static_cast<int64_t>(size()), 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; i++) trace(static_cast<size_t>(i));
  });
  *this = PendingMasks{};
}

MaskSet runs_from_logits(const at::Tensor& logits, int64_t width, int64_t height, float threshold) {
  MaskSet set{width, height, {}};
  PendingMasks pending;
  pending.add(logits, threshold, set);
  pending.finish();
  return set;
}

}  // namespace sam3
