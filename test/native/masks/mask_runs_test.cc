#include "masks/mask_runs.h"

#include <ATen/ATen.h>
#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <numeric>
#include <vector>

#include "support/support.h"

using namespace sam3;
using namespace sam3::test;

namespace {

// The mask's pixels, row-major, out of its column-major runs.
std::vector<bool> decode(const MaskRuns& mask, int64_t width, int64_t height) {
  std::vector<bool> pixels(static_cast<size_t>(width * height));
  int64_t at = 0;
  bool set = false;
  for (const uint32_t run : mask.runs) {
    for (uint32_t i = 0; i < run; i++, at++) {
      REQUIRE(at < width * height);
      pixels[static_cast<size_t>(at % height * width + at / height)] = set;
    }
    set = !set;
  }
  CHECK(at == width * height);
  return pixels;
}

// What runs_from_logits says of a mask must agree with the mask itself.
void check_summary(const MaskRuns& mask, const std::vector<bool>& pixels, int64_t width, int64_t height) {
  int64_t area = 0, left = width, right = -1, top = height, bottom = -1;
  for (int64_t y = 0; y < height; y++)
    for (int64_t x = 0; x < width; x++)
      if (pixels[static_cast<size_t>(y * width + x)]) {
        area++;
        left = std::min(left, x), right = std::max(right, x), top = std::min(top, y), bottom = std::max(bottom, y);
      }
  CHECK(mask.area == area);
  const std::array<int32_t, 4> none{0, 0, 0, 0};
  const std::array<int32_t, 4> box{static_cast<int32_t>(left), static_cast<int32_t>(top),
                                   static_cast<int32_t>(right + 1), static_cast<int32_t>(bottom + 1)};
  CHECK(mask.box == (area ? box : none));
  for (size_t i = 1; i < mask.runs.size(); i++) REQUIRE(mask.runs[i] > 0);  // only the first run may be empty
}

// Compares with ATen's resize followed by the threshold. A pixel whose logit is within rounding of the threshold may go
// either way: the two add up in another order.
void compare(const at::Tensor& logits, int64_t width, int64_t height, float threshold) {
  CAPTURE(logits.size(2));
  CAPTURE(logits.size(1));
  CAPTURE(width);
  CAPTURE(height);
  const MaskSet set = runs_from_logits(logits, width, height, threshold);
  const at::Tensor resized =
      at::upsample_bilinear2d(logits.to(at::kFloat).unsqueeze(0), {height, width}, /*align_corners=*/false)
          .contiguous();
  const float* expected = resized.const_data_ptr<float>();
  const float slack = 1e-5f * std::max(1.0f, logits.abs().max().item<float>());
  REQUIRE(static_cast<int64_t>(set.masks.size()) == logits.size(0));
  CHECK(set.width == width);
  CHECK(set.height == height);
  for (const MaskRuns& mask : set.masks) {
    const auto pixels = decode(mask, width, height);
    check_summary(mask, pixels, width, height);
    int64_t wrong = 0;
    for (const bool pixel : pixels) {
      const float value = *expected++ - threshold;
      wrong += pixel != (value > 0) && std::abs(value) > slack;
    }
    CHECK(wrong == 0);
  }
}

}  // namespace

TEST_CASE("mask_runs: equal to a resize and a threshold, at all kinds of sizes") {
  at::manual_seed(5);
  const std::vector<std::array<int64_t, 2>> sources{{1, 1}, {1, 7}, {5, 1}, {3, 5}, {48, 48}, {31, 17}};
  const std::vector<std::array<int64_t, 2>> targets{{1, 1},   {1, 9},   {13, 1},   {7, 11},
                                                    {48, 48}, {33, 47}, {211, 97}, {2, 3}};
  for (const auto& [h, w] : sources)
    for (const auto& [width, height] : targets) {
      compare(at::randn({3, h, w}) * 4, width, height, 0.0f);
      compare(at::randn({2, h, w}), width, height, 0.3f);
    }
  // The true proportions: smooth logits, enlarged and reduced.
  const at::Tensor smooth = at::upsample_bilinear2d(at::randn({1, 2, 9, 9}) * 8, {288, 288}, false).squeeze(0);
  compare(smooth, 641, 427, 0.0f);
  compare(smooth, 1200, 800, 0.0f);
  compare(smooth, 33, 47, 0.0f);
}

TEST_CASE("mask_runs: half precision and strided logits") {
  at::manual_seed(6);
  compare(at::randn({2, 12, 12}).to(at::kBFloat16), 37, 29, 0.0f);
  compare(at::randn({2, 12, 12}).to(at::kHalf), 37, 29, 0.0f);
  compare(at::randn({12, 10, 2}).permute({2, 0, 1}), 37, 29, 0.0f);
  compare(at::randn({4, 12, 12}).slice(0, 0, 4, 2), 37, 29, 0.0f);
}

TEST_CASE("mask_runs: empty, full and no masks") {
  const MaskSet empty = runs_from_logits(at::full({1, 4, 4}, -1.0), 5, 3);
  CHECK(empty.masks[0].runs == std::vector<uint32_t>{15});
  CHECK(empty.masks[0].area == 0);
  CHECK(empty.masks[0].box == std::array<int32_t, 4>{0, 0, 0, 0});
  const MaskSet full = runs_from_logits(at::ones({1, 4, 4}), 5, 3);
  CHECK(full.masks[0].runs == std::vector<uint32_t>{0, 15});
  CHECK(full.masks[0].area == 15);
  CHECK(full.masks[0].box == std::array<int32_t, 4>{0, 0, 5, 3});
  CHECK(runs_from_logits(at::zeros({1, 4, 4}), 5, 3).masks[0].area == 0);  // on the threshold is not above it
  CHECK(runs_from_logits(at::full({1, 2, 2}, std::nanf("")), 5, 3).masks[0].area == 0);
  CHECK(runs_from_logits(at::empty({0, 4, 4}), 5, 3).masks.empty());
}

TEST_CASE("mask_runs: values a rounding away from the threshold are looked at one by one") {
  at::manual_seed(7);
  for (const float threshold : {0.0f, 0.5f}) {
    const at::Tensor near = at::randint(-2, 3, {2, 70, 9}).to(at::kFloat) * 6e-8f + threshold;
    compare(near, 61, 301, threshold);
    const at::Tensor flat = at::full({1, 66, 5}, threshold * (1 + std::numeric_limits<float>::epsilon()));
    compare(flat, 40, 200, threshold);
  }
}

TEST_CASE("mask_runs: masks that wait together are what each is alone, with their values") {
  at::manual_seed(8);
  const at::Tensor first = at::randn({3, 20, 12}), second = at::randn({1, 20, 12});
  MaskSet wide{37, 29, {}}, small{9, 11, {}}, none{5, 5, {}};
  std::vector<float> values;
  PendingMasks pending;
  pending.add(first, 0.0f, wide);
  pending.add(at::empty({0, 20, 12}), 0.0f, none);
  pending.add(second, 0.25f, small, &values);
  pending.finish();
  const MaskSet alone = runs_from_logits(first, 37, 29), other = runs_from_logits(second, 9, 11, 0.25f);
  REQUIRE(wide.masks.size() == 3);
  for (size_t i = 0; i < 3; i++) CHECK(wide.masks[i].runs == alone.masks[i].runs);
  CHECK(small.masks.at(0).runs == other.masks[0].runs);
  CHECK(none.masks.empty());
  CHECK(at::equal(at::tensor(values).view({1, 20, 12}), second));
  pending.finish();  // nothing waits: nothing happens
  CHECK(small.masks.at(0).runs == other.masks[0].runs);
}
