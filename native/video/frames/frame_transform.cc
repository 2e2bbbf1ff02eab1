#include "video/frames/frame_transform.h"

#include <ATen/Functions.h>
#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "core/host_values.h"

namespace sam3 {
namespace {

constexpr int kPrecisionBits = 22;  // a byte times a weight, summed over a window, stays within 32 bits

double filter_value(FrameFilter filter, double x) {
  x = std::abs(x);
  if (filter == FrameFilter::bilinear) return x < 1.0 ? 1.0 - x : 0.0;
  constexpr double a = -0.5;
  if (x < 1.0) return ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0;
  if (x < 2.0) return (((x - 5.0) * x + 8.0) * x - 4.0) * a;
  return 0.0;
}

// For every target position the window of source positions and their weights in fixed point.
struct Windows {
  int64_t width = 0;  // room for weights per window
  std::vector<int64_t> first, count;
  std::vector<int32_t> weights;

  Windows(int64_t from, int64_t to, FrameFilter filter) : first(to), count(to) {
    const double scale = static_cast<double>(from) / static_cast<double>(to), stretch = std::max(scale, 1.0);
    const double support = (filter == FrameFilter::bilinear ? 1.0 : 2.0) * stretch;
    width = static_cast<int64_t>(std::ceil(support)) * 2 + 1;
    weights.resize(static_cast<size_t>(to * width));
    std::vector<double> exact(static_cast<size_t>(width));
    for (int64_t i = 0; i < to; i++) {
      const double center = (static_cast<double>(i) + 0.5) * scale, step = 1.0 / stretch;
      // The conversions cut towards zero, as in the source.
      first[i] = std::max<int64_t>(0, static_cast<int64_t>(center - support + 0.5));
      count[i] = std::min<int64_t>(from, static_cast<int64_t>(center + support + 0.5)) - first[i];
      double sum = 0;
      for (int64_t k = 0; k < count[i]; k++) {
        exact[k] = filter_value(filter, (static_cast<double>(k + first[i]) - center + 0.5) * step);
        sum += exact[k];
      }
      for (int64_t k = 0; k < count[i]; k++) {
        const double weight = (sum != 0.0 ? exact[k] / sum : exact[k]) * (1 << kPrecisionBits);
        weights[i * width + k] = static_cast<int32_t>(weight + (weight < 0 ? -0.5 : 0.5));
      }
    }
  }
};

uint8_t to_byte(int32_t sum) {
  return static_cast<uint8_t>(std::clamp(sum >> kPrecisionBits, 0, 255));
}

constexpr int32_t kHalf = 1 << (kPrecisionBits - 1);

// [height, width, 3] -> [height, size, 3].
std::vector<uint8_t> resize_columns(const RgbImage& image, int64_t size, FrameFilter filter) {
  const Windows windows(image.width, size, filter);
  std::vector<uint8_t> out(static_cast<size_t>(image.height * size * 3));
  at::parallel_for(0, image.height, 32, [&](int64_t begin, int64_t end) {
    for (int64_t y = begin; y < end; y++) {
      const uint8_t* row = image.data + y * image.width * 3;
      uint8_t* target = out.data() + y * size * 3;
      for (int64_t x = 0; x < size; x++) {
        const uint8_t* source = row + windows.first[x] * 3;
        const int32_t* weight = &windows.weights[x * windows.width];
        int32_t r = kHalf, g = kHalf, b = kHalf;
        for (int64_t k = 0; k < windows.count[x]; k++, source += 3) {
          r += source[0] * weight[k];
          g += source[1] * weight[k];
          b += source[2] * weight[k];
        }
        *target++ = to_byte(r);
        *target++ = to_byte(g);
        *target++ = to_byte(b);
      }
    }
  });
  return out;
}

// [height, size, 3] -> planes [3, size, size]; without weights where the height is right already.
void resize_rows(const uint8_t* rows, int64_t height, int64_t size, FrameFilter filter, uint8_t* planes) {
  const Windows windows(height, size, filter);
  const bool copy = height == size;
  const int64_t stride = size * 3;
  at::parallel_for(0, size, 32, [&](int64_t begin, int64_t end) {
    std::vector<int32_t> sums(static_cast<size_t>(stride));
    for (int64_t y = begin; y < end; y++) {
      if (copy) {
        for (int64_t i = 0; i < stride; i++) sums[i] = rows[y * stride + i] << kPrecisionBits;
      } else {
        std::fill(sums.begin(), sums.end(), kHalf);
        for (int64_t k = 0; k < windows.count[y]; k++) {
          const uint8_t* source = rows + (windows.first[y] + k) * stride;
          const int32_t weight = windows.weights[y * windows.width + k];
          for (int64_t i = 0; i < stride; i++) sums[i] += source[i] * weight;
        }
      }
      for (int64_t c = 0; c < 3; c++) {
        uint8_t* target = planes + (c * size + y) * size;
        for (int64_t x = 0; x < size; x++) target[x] = to_byte(sums[x * 3 + c]);
      }
    }
  });
}

}  // namespace

at::Tensor resize_frame(const RgbImage& image, int64_t size, FrameFilter filter) {
  auto out = at::empty({3, size, size}, at::kByte);
  std::vector<uint8_t> columns;
  const uint8_t* rows = image.data;
  if (image.width != size) {
    columns = resize_columns(image, size, filter);
    rows = columns.data();
  }
  resize_rows(rows, image.height, size, filter, out.mutable_data_ptr<uint8_t>());
  return out;
}

at::Tensor byte_table(FrameFilter filter, const Target& target) {
  auto table = at::arange(256, at::kFloat) / 255.0f;
  if (filter == FrameFilter::bilinear) table = table.to(at::kHalf);
  return upload(table.sub(0.5).div(0.5).to(target.dtype), target.device);
}

at::Tensor normalize_frame(const at::Tensor& resized, const at::Tensor& table) {
  const auto bytes = upload(resized.flatten(), table.device());
  return table.index_select(0, bytes.to(at::kInt)).view(resized.sizes()).unsqueeze(0);
}

}  // namespace sam3
