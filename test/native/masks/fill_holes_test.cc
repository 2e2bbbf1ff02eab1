#include "masks/mask_ops.h"

#include <ATen/Functions.h>
#include <doctest/doctest.h>

#include <utility>
#include <vector>

#include "support/support.h"

using namespace sam3;

namespace {

// Flood fill from every background pixel, one mask [h, w] at a time.
at::Tensor fill_by_flood(const at::Tensor& mask, int64_t max_area, float fill) {
  at::Tensor out = mask.clone().contiguous();
  const int64_t h = mask.size(0), w = mask.size(1);
  const at::Tensor source = mask.contiguous();
  const float* in = source.const_data_ptr<float>();
  float* data = out.mutable_data_ptr<float>();
  std::vector<bool> seen(static_cast<size_t>(h * w));
  for (int64_t start = 0; start < h * w; start++) {
    if (seen[start] || in[start] > 0) continue;
    std::vector<int64_t> component{start};
    seen[start] = true;
    for (size_t i = 0; i < component.size(); i++) {
      const int64_t y = component[i] / w, x = component[i] % w;
      for (int64_t ny = std::max<int64_t>(y - 1, 0); ny <= std::min(y + 1, h - 1); ny++)
        for (int64_t nx = std::max<int64_t>(x - 1, 0); nx <= std::min(x + 1, w - 1); nx++) {
          const int64_t next = ny * w + nx;
          if (seen[next] || in[next] > 0) continue;
          seen[next] = true;
          component.push_back(next);
        }
    }
    if (static_cast<int64_t>(component.size()) > max_area) continue;
    for (const int64_t pixel : component) data[pixel] = fill;
  }
  return out;
}

}  // namespace

TEST_CASE("fill_holes: holes are filled as by a flood fill") {
  at::manual_seed(7);
  for (const auto& [h, w] : std::vector<std::pair<int64_t, int64_t>>{{1, 1}, {1, 40}, {40, 1}, {17, 23}, {48, 48}})
    for (const float shift : {-1.0f, 0.0f, 0.4f, 1.0f, 2.0f})
      for (const int64_t max_area : {0, 1, 3, 16, 256}) {
        const at::Tensor masks = at::randn({3, h, w}) + shift;
        const at::Tensor filled = fill_holes(masks, max_area, 10.0f);
        for (int64_t i = 0; i < masks.size(0); i++)
          CHECK(at::equal(filled[i], fill_by_flood(masks[i], max_area, 10.0f)));
      }
}

TEST_CASE("fill_holes: neighbours count across corners") {
  const at::Tensor mask = at::ones({1, 4, 4});
  mask[0][1][1] = -1;
  mask[0][2][2] = -1;
  CHECK(at::equal(fill_holes(mask, 1, 10.0f), mask));  // one component of two pixels
  CHECK(fill_holes(mask, 2, 10.0f)[0][2][2].item<float>() == 10.0f);
}

TEST_CASE("fill_holes: the caller's masks stay as they are, and zero is background") {
  const at::Tensor mask = at::zeros({1, 1, 2}).to(at::kBFloat16);
  const at::Tensor filled = fill_holes(mask, 2, 10.0f);
  CHECK(at::equal(mask, at::zeros_like(mask)));
  CHECK((filled.scalar_type() == at::kFloat));
  CHECK(at::equal(filled, at::full({1, 1, 2}, 10.0)));
  CHECK(fill_holes(at::empty({0, 3, 3}), 4, 10.0f).size(0) == 0);
}
