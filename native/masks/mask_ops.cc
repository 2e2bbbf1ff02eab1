#include "masks/mask_ops.h"

#include <ATen/Functions.h>
#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>

#include <algorithm>
#include <bit>
#include <numeric>

#include "core/error.h"
#include "core/host_values.h"
#include "masks/run_components.h"

namespace sam3 {
namespace {

constexpr float kFilled = 0.1f, kRemoved = -0.1f;

// Rows of one mask as runs.
std::vector<LineRun> rows_of(const MaskBits& masks, int64_t mask) {
  std::vector<LineRun> out;
  const auto width = static_cast<int32_t>(masks.width());
  for (int64_t y = 0; y < masks.height(); y++) {
    const uint64_t* row = masks.row(mask, y);
    // The first position at or after x that is set, or not; `width` where there is none.
    const auto next = [&](int32_t x, bool set) {
      while (x < width) {
        const uint64_t word = (set ? row[x / 64] : ~row[x / 64]) >> (x % 64);
        if (word != 0) return std::min(width, x + std::countr_zero(word));
        x = (x / 64 + 1) * 64;
      }
      return width;
    };
    for (int32_t begin = next(0, true); begin < width;) {
      const int32_t end = next(begin, false);
      out.push_back({static_cast<int32_t>(y), begin, end});
      begin = next(end, true);
    }
  }
  return out;
}

// Columns of a mask as runs.
std::vector<LineRun> columns_of(const MaskRuns& mask, int64_t height) {
  std::vector<LineRun> out;
  int64_t at = 0;
  for (size_t i = 0; i < mask.runs.size(); i++) {
    const int64_t end = at + mask.runs[i];
    for (int64_t from = at; i % 2 == 1 && from < end;) {
      const int64_t line = from / height, to = std::min(end, (line + 1) * height);
      out.push_back({static_cast<int32_t>(line), static_cast<int32_t>(from - line * height),
                     static_cast<int32_t>(to - line * height)});
      from = to;
    }
    at = end;
  }
  return out;
}

// Positions [begin, end) in column-major order, as a mask of `size` pixels.
struct Span {
  int64_t begin, end;
};

std::vector<Span> spans_of(const MaskRuns& mask) {
  std::vector<Span> out;
  int64_t at = 0;
  for (size_t i = 0; i < mask.runs.size(); i++) {
    if (i % 2 == 1 && mask.runs[i] > 0) out.push_back({at, at + mask.runs[i]});
    at += mask.runs[i];
  }
  return out;
}

int64_t size_of(const MaskRuns& mask) {
  return std::accumulate(mask.runs.begin(), mask.runs.end(), int64_t{0});
}

MaskRuns runs_of(const std::vector<Span>& spans, int64_t size, int64_t height) {
  MaskRuns out;
  int64_t at = 0, left = INT64_MAX, right = 0, top = INT64_MAX, bottom = 0;
  for (size_t i = 0; i < spans.size(); i++) {
    int64_t end = spans[i].end;
    const int64_t begin = spans[i].begin;
    while (i + 1 < spans.size() && spans[i + 1].begin == end) end = spans[++i].end;
    out.runs.push_back(static_cast<uint32_t>(begin - at));
    out.runs.push_back(static_cast<uint32_t>(end - begin));
    at = end;
    out.area += end - begin;
    const int64_t first = begin / height, last = (end - 1) / height;
    left = std::min(left, first);
    right = std::max(right, last + 1);
    top = first == last ? std::min(top, begin - first * height) : 0;
    bottom = first == last ? std::max(bottom, end - last * height) : height;
  }
  if (at < size || out.runs.empty()) out.runs.push_back(static_cast<uint32_t>(size - at));
  if (out.area > 0)
    out.box = {static_cast<int32_t>(left), static_cast<int32_t>(top), static_cast<int32_t>(right),
               static_cast<int32_t>(bottom)};
  return out;
}

std::vector<Span> subtract(const std::vector<Span>& from, const std::vector<Span>& what) {
  std::vector<Span> out;
  size_t j = 0;
  for (Span span : from) {
    while (j < what.size() && what[j].end <= span.begin) j++;
    for (size_t k = j; k < what.size() && what[k].begin < span.end; k++) {
      if (what[k].begin > span.begin) out.push_back({span.begin, what[k].begin});
      span.begin = std::max(span.begin, what[k].end);
    }
    if (span.begin < span.end) out.push_back(span);
  }
  return out;
}

bool boxes_meet(const MaskRuns& a, const MaskRuns& b) {
  return a.area > 0 && b.area > 0 && a.box[0] < b.box[2] && b.box[0] < a.box[2] && a.box[1] < b.box[3] &&
         b.box[1] < a.box[3];
}

}  // namespace

LogitMasks::LogitMasks(const at::Tensor& device) : LogitMasks(device, to_host(device)) {}

LogitMasks::LogitMasks(const at::Tensor& device, const at::Tensor& host)
    : device_(device), host_(host.to(at::kFloat).contiguous()), bits_(MaskBits::above_zero(host_)) {
  if (device_.is_cpu()) device_ = host_;
}

// Before the first change: what was given may be a view of memory that others read.
void LogitMasks::own() {
  if (owned_) return;
  owned_ = true;
  const bool same = device_.is_same(host_);
  host_ = host_.clone();
  device_ = same ? host_ : device_.clone(at::MemoryFormat::Contiguous);
}

void LogitMasks::repair(int64_t max_area, bool fill_holes, bool remove_sprinkles) {
  std::vector<int64_t> at;
  std::vector<float> value;
  const int64_t h = bits_.height(), w = bits_.width();
  for (int64_t i = 0; i < count(); i++) {
    const Repaired found = repair_mask(rows_of(bits_, i), h, w, max_area, fill_holes, remove_sprinkles);
    const auto edit = [&](const std::vector<LineRun>& runs, float logit) {
      for (const LineRun& run : runs) {
        bits_.fill(i, run.line, run.begin, run.end, logit > 0);
        for (int32_t x = run.begin; x < run.end; x++) {
          at.push_back((i * h + run.line) * w + x);
          value.push_back(logit);
        }
      }
    };
    edit(found.filled, kFilled);
    edit(found.removed, kRemoved);  // may take back what was filled
  }
  if (at.empty()) return;
  own();
  float* pixel = host_.mutable_data_ptr<float>();
  for (size_t i = 0; i < at.size(); i++) pixel[at[i]] = value[i];
  if (device_.is_same(host_)) return;
  // On a device the order of writes to one pixel is not defined: send the final values.
  for (size_t i = 0; i < at.size(); i++) value[i] = pixel[at[i]];
  const auto sent = upload({index_tensor(at), at::tensor(value)}, device_.device());
  device_.view(-1).index_copy_(0, sent[0], sent[1]);
}

void LogitMasks::set(int64_t mask, float logit) {
  own();
  host_[mask].fill_(logit);
  if (!device_.is_same(host_)) device_[mask].fill_(logit);
  bits_.clear(mask);
  for (int64_t y = 0; logit > 0 && y < bits_.height(); y++) bits_.fill(mask, y, 0, bits_.width(), true);
}

void LogitMasks::correct(int64_t mask, const at::Tensor& logits) {
  own();
  const auto merge = [&](const at::Tensor& rows) {
    const at::Tensor row = rows[mask], other = logits.to(row.device(), at::kFloat);
    row.copy_(at::where((row > 0) == (other > 0), row, other));
  };
  merge(host_);
  if (!device_.is_same(host_)) merge(device_);
  const MaskBits corrected = MaskBits::above_zero(host_.narrow(0, mask, 1));
  bits_.clear(mask);
  for (int64_t y = 0; y < bits_.height(); y++)
    for (int64_t x = 0; x < bits_.width(); x++)
      if (corrected.get(0, y, x)) bits_.fill(mask, y, x, x + 1, true);
}

LogitMasks LogitMasks::select(const std::vector<int64_t>& masks) const {
  LogitMasks out;
  out.host_ = host_.index_select(0, index_tensor(masks, at::kCPU));
  out.device_ = device_.is_same(host_) ? out.host_ : device_.index_select(0, index_tensor(masks, device_.device()));
  out.bits_ = bits_.select(masks);
  out.owned_ = true;
  return out;
}

at::Tensor fill_holes(const at::Tensor& masks, int64_t max_area, float fill) {
  at::Tensor out = masks.to(at::kCPU, at::kFloat, /*non_blocking=*/false, /*copy=*/true).contiguous();
  const MaskBits bits = MaskBits::above_zero(out);
  const int64_t h = bits.height(), w = bits.width();
  float* pixels = out.mutable_data_ptr<float>();
  at::parallel_for(0, bits.count(), 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; i++)
      for (const LineRun& run : repair_mask(rows_of(bits, i), h, w, max_area, true, /*remove_sprinkles=*/false).filled)
        std::fill(pixels + (i * h + run.line) * w + run.begin, pixels + (i * h + run.line) * w + run.end, fill);
  });
  return out;
}

MaskRuns repaired(const MaskRuns& mask, int64_t height, int64_t max_area) {
  const int64_t size = size_of(mask);
  if (size == 0) return mask;
  const Repaired found = repair_mask(columns_of(mask, height), size / height, height, max_area);
  if (found.filled.empty() && found.removed.empty()) return mask;
  std::vector<Span> spans;
  for (const LineRun& run : found.mask) spans.push_back({run.line * height + run.begin, run.line * height + run.end});
  return runs_of(spans, size, height);
}

void make_exclusive(std::vector<MaskRuns>& masks, const std::vector<float>& scores, int64_t height) {
  if (scores.size() != masks.size()) throw Error(ERR_INTERNAL, "make_exclusive expects a score for each mask.");
  if (masks.size() < 2) return;
  std::vector<size_t> order(masks.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return scores[a] > scores[b]; });
  const std::vector<MaskRuns> before = masks;
  for (size_t i = 0; i < order.size(); i++) {
    MaskRuns& mask = masks[order[i]];
    if (mask.area == 0) continue;
    const int64_t size = size_of(mask);
    if (!(scores[order[i]] > 0)) {
      mask = runs_of({}, size, height);
      continue;
    }
    std::vector<Span> spans;
    bool changed = false;
    for (size_t j = 0; j < i; j++) {
      const MaskRuns& better = before[order[j]];
      if (!boxes_meet(before[order[i]], better)) continue;
      if (!changed) spans = spans_of(mask);
      changed = true;
      spans = subtract(spans, spans_of(better));
    }
    if (changed) mask = runs_of(spans, size, height);
  }
}

}  // namespace sam3
