#include "masks/mask_runs.h"

#include <ATen/Functions.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <map>

#include "core/error.h"

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

// Target rows [begin, end) that lie between source rows `low` and `low + 1`.
struct Stretch {
  int32_t low, high;
  int64_t begin, end;
};

std::vector<Stretch> stretches_of(const Axis& rows) {
  std::vector<Stretch> out;
  const int64_t n = static_cast<int64_t>(rows.low.size());
  for (int64_t y = 0; y < n;) {
    int64_t end = y + 1;
    while (end < n && rows.low[end] == rows.low[y]) end++;
    out.push_back({rows.low[y], rows.high[y], y, end});
    y = end;
  }
  return out;
}

// How the pixels of a picture of width x height lie in a map of w x h.
struct Grid {
  Grid(int64_t w, int64_t h, int64_t width, int64_t height)
      : across(w, width), down(h, height), stretches(stretches_of(down)) {}
  Axis across, down;
  std::vector<Stretch> stretches;
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
    right_ = std::max(right_, column);
    top_ = std::min(top_, begin);
    bottom_ = std::max(bottom_, end - 1);
  }
  MaskRuns finish() {
    mask_.runs.push_back(static_cast<uint32_t>(length_));
    if (mask_.area > 0)
      mask_.box = {static_cast<int32_t>(left_), static_cast<int32_t>(top_), static_cast<int32_t>(right_ - left_ + 1),
                   static_cast<int32_t>(bottom_ - top_ + 1)};
    mask_.runs.shrink_to_fit();
    return std::move(mask_);
  }

 private:
  MaskRuns mask_;
  bool current_ = false;
  int64_t length_ = 0;
  int64_t left_ = INT64_MAX, right_ = -1, top_ = INT64_MAX, bottom_ = -1;
};

// `columns` holds the source transposed, [w, h], so that a column lies together.
MaskRuns trace(const float* columns, int64_t h, const Grid& grid, float threshold) {
  const auto& [across, down, stretches] = grid;
  const int64_t width = static_cast<int64_t>(across.low.size());
  RunWriter writer;
  std::vector<float> column(h);
  for (int64_t x = 0; x < width; x++) {
    const float* a = columns + across.low[x] * h;
    const float* b = columns + across.high[x] * h;
    const float wb = across.weight_high[x], wa = 1.0f - wb;
    for (int64_t i = 0; i < h; i++) column[i] = wa * a[i] + wb * b[i];
    for (const Stretch& s : stretches) {
      const float top = column[s.low], bottom = column[s.high];
      const bool top_set = top > threshold, bottom_set = bottom > threshold;
      if (top_set == bottom_set) {
        writer.put(top_set, x, s.begin, s.end);
        continue;
      }
      // One crossing at most: find the first row on the other side.
      int64_t y = s.begin;
      const auto set_at = [&](int64_t row) {
        const float w = down.weight_high[row];
        return (1.0f - w) * top + w * bottom > threshold;
      };
      while (y < s.end && set_at(y) == top_set) y++;
      if (y > s.begin) writer.put(top_set, x, s.begin, y);
      if (y < s.end) writer.put(bottom_set, x, y, s.end);
    }
  }
  return writer.finish();
}

}  // namespace

void PendingMasks::add(at::Tensor maps, float threshold, MaskSet& out, std::vector<float>* values) {
  if (maps.dim() != 3) throw Error(ERR_INTERNAL, "Masks are maps [N, h, w].");
  out.masks.assign(maps.size(0), MaskRuns{});
  if (maps.size(0) == 0) return;
  waiting_ += maps.numel();
  entries_.push_back({std::move(maps), threshold, &out, values});
  if (waiting_ > kMostWaiting) finish();
}

void PendingMasks::finish() {
  if (entries_.empty()) return;
  std::vector<at::Tensor> maps;
  for (const Entry& entry : entries_) maps.push_back(entry.maps);
  const auto all = at::cat(maps).transpose(1, 2).to(at::kFloat).contiguous().to(at::kCPU);
  const int64_t n = all.size(0), w = all.size(1), h = all.size(2);
  const float* data = all.const_data_ptr<float>();

  struct Mask {
    const Entry* entry;
    int64_t number;
  };
  std::vector<Mask> masks;
  std::map<std::pair<int64_t, int64_t>, Grid> grids;
  for (const Entry& entry : entries_) {
    grids.try_emplace({entry.out->width, entry.out->height}, w, h, entry.out->width, entry.out->height);
    if (entry.values) entry.values->resize(entry.maps.numel());
    for (int64_t i = 0; i < entry.maps.size(0); i++) masks.push_back({&entry, i});
  }
  at::parallel_for(0, n, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; i++) {
      const auto& [entry, number] = masks[i];
      const float* columns = data + i * w * h;
      MaskSet& out = *entry->out;
      out.masks[number] = trace(columns, h, grids.at({out.width, out.height}), entry->threshold);
      if (!entry->values) continue;
      float* rows = entry->values->data() + number * w * h;
      for (int64_t y = 0; y < h; y++)
        for (int64_t x = 0; x < w; x++) *rows++ = columns[x * h + y];
    }
  });
  entries_.clear();
  waiting_ = 0;
}

MaskSet runs_from_logits(const at::Tensor& logits, int64_t width, int64_t height, float threshold) {
  MaskSet set{width, height, {}};
  PendingMasks pending;
  pending.add(logits, threshold, set);
  pending.finish();
  return set;
}

}  // namespace sam3
