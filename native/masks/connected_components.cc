#include "masks/connected_components.h"

#include <ATen/Functions.h>
#include <ATen/Parallel.h>

#include <vector>

namespace sam3 {
namespace {

// Union-find over pixels; a root holds the area of its component.
class Components {
 public:
  explicit Components(int64_t n) : parent_(n), area_(n, 1) {
    for (int64_t i = 0; i < n; i++) parent_[i] = static_cast<int32_t>(i);
  }
  int32_t root(int32_t i) {
    while (parent_[i] != i) i = parent_[i] = parent_[parent_[i]];
    return i;
  }
  void join(int32_t a, int32_t b) {
    a = root(a);
    b = root(b);
    if (a == b) return;
    if (area_[a] < area_[b]) std::swap(a, b);
    parent_[b] = a;
    area_[a] += area_[b];
  }
  int32_t area_of(int32_t i) { return area_[root(i)]; }

 private:
  std::vector<int32_t> parent_, area_;
};

void fill_one(float* mask, int64_t h, int64_t w, int64_t max_area, float fill) {
  Components components(h * w);
  const auto background = [&](int64_t i) { return mask[i] <= 0.0f; };
  for (int64_t y = 0; y < h; y++) {
    for (int64_t x = 0; x < w; x++) {
      const int64_t i = y * w + x;
      if (!background(i)) continue;
      const auto at = static_cast<int32_t>(i);
      if (x > 0 && background(i - 1)) components.join(at, at - 1);
      if (y == 0) continue;
      for (int64_t dx = -1; dx <= 1; dx++)
        if (x + dx >= 0 && x + dx < w && background(i - w + dx)) components.join(at, static_cast<int32_t>(i - w + dx));
    }
  }
  std::vector<int64_t> holes;
  for (int64_t i = 0; i < h * w; i++)
    if (background(i) && components.area_of(static_cast<int32_t>(i)) <= max_area) holes.push_back(i);
  for (const int64_t i : holes) mask[i] = fill;
}

}  // namespace

at::Tensor fill_holes(const at::Tensor& masks, int64_t max_area, float fill) {
  auto out = masks.to(at::kCPU, at::kFloat, /*non_blocking=*/false, /*copy=*/true).contiguous();
  const int64_t n = out.size(0), h = out.size(1), w = out.size(2);
  float* data = out.mutable_data_ptr<float>();
  at::parallel_for(0, n, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; i++) fill_one(data + i * h * w, h, w, max_area, fill);
  });
  return out;
}

}  // namespace sam3
