#include "image/preprocess.h"

#include <ATen/Functions.h>
#include <doctest/doctest.h>

#include <vector>

#include "support/support.h"

using namespace sam3;

namespace {

std::vector<uint8_t> noise(int64_t count) {
  std::mt19937_64 random(8);
  std::vector<uint8_t> pixels(static_cast<size_t>(count));
  for (auto& pixel : pixels) pixel = static_cast<uint8_t>(random());
  return pixels;
}

// torchvision's antialiased bilinear resize, in double: a triangle filter whose width is the larger of one source pixel
// and one target pixel, columns first, each pass rounded to a byte.
std::vector<double> resize_axis(const std::vector<double>& line, int64_t to) {
  const double scale = static_cast<double>(line.size()) / static_cast<double>(to), support = std::max(scale, 1.0);
  std::vector<double> out;
  for (int64_t i = 0; i < to; i++) {
    const double centre = (static_cast<double>(i) + 0.5) * scale;
    double sum = 0, weights = 0;
    for (size_t j = 0; j < line.size(); j++) {
      const double weight = 1.0 - std::abs((static_cast<double>(j) + 0.5 - centre) / support);
      if (weight <= 0) continue;
      sum += weight * line[j];
      weights += weight;
    }
    out.push_back(sum / weights);
  }
  return out;
}

}  // namespace

TEST_CASE("preprocess: an image of the right size is only normalised, channels first") {
  const auto pixels = noise(28 * 28 * 3);
  const RgbImage image{pixels.data(), 28, 28};
  const at::Tensor out = preprocess({image}, 28, {c10::kCPU, at::kFloat});
  REQUIRE(out.sizes() == at::IntArrayRef({1, 3, 28, 28}));
  for (const auto& [c, y, x] : std::vector<std::array<int64_t, 3>>{{0, 0, 0}, {1, 5, 9}, {2, 27, 27}, {0, 13, 2}}) {
    const float byte = pixels[static_cast<size_t>((y * 28 + x) * 3 + c)];
    CHECK(out[0][c][y][x].item<float>() == (byte * (1.0f / 255.0f) - 0.5f) / 0.5f);
  }
  const at::Tensor half = preprocess({image, image}, 28, {c10::kCPU, at::kBFloat16});
  CHECK(at::equal(half, out.to(at::kBFloat16).expand({2, -1, -1, -1})));
}

TEST_CASE("preprocess: the resize is the antialiased bilinear one, to within a rounding") {
  for (const auto& [width, height] :
       std::vector<std::pair<int64_t, int64_t>>{{1, 1}, {1, 40}, {33, 47}, {61, 20}, {14, 28}}) {
    CAPTURE(width);
    CAPTURE(height);
    const auto pixels = noise(width * height * 3);
    const at::Tensor out = resize_to_square({pixels.data(), width, height}, 28);
    REQUIRE(out.sizes() == at::IntArrayRef({3, 28, 28}));
    double worst = 0;
    for (int64_t c = 0; c < 3; c++) {
      std::vector<std::vector<double>> rows;
      for (int64_t y = 0; y < height; y++) {
        std::vector<double> row;
        for (int64_t x = 0; x < width; x++) row.push_back(pixels[static_cast<size_t>((y * width + x) * 3 + c)]);
        rows.push_back(resize_axis(row, 28));
      }
      for (int64_t x = 0; x < 28; x++) {
        std::vector<double> column;
        for (const auto& row : rows) column.push_back(row[static_cast<size_t>(x)]);
        const auto expected = resize_axis(column, 28);
        for (int64_t y = 0; y < 28; y++)
          worst = std::max(worst, std::abs(out[c][y][x].item<double>() - expected[static_cast<size_t>(y)]));
      }
    }
    CHECK(worst <= 1.5);  // each of the two passes rounds to a byte
  }
}
