#include "pictures.h"

#include <random>

namespace sam3::bench {
namespace {

constexpr int64_t kCells = 12;

}  // namespace

Picture::Picture(int64_t width, int64_t height, uint64_t seed, int64_t shift)
    : width_(width), height_(height), pixels_(static_cast<size_t>(width * height * 3)) {
  std::mt19937_64 random(seed);
  std::vector<float> grid(kCells * kCells * 3);
  for (float& cell : grid) cell = static_cast<float>(random() % 256);
  const auto at = [&](int64_t y, int64_t x, int64_t c) {
    return grid[static_cast<size_t>(((y % kCells) * kCells + x % kCells) * 3 + c)];
  };
  size_t out = 0;
  for (int64_t y = 0; y < height; y++) {
    const float fy = static_cast<float>(y) * (kCells - 1) / static_cast<float>(height);
    const auto y0 = static_cast<int64_t>(fy);
    const float dy = fy - static_cast<float>(y0);
    for (int64_t x = 0; x < width; x++) {
      const float fx = static_cast<float>((x + width - shift % width) % width) * kCells / static_cast<float>(width);
      const auto x0 = static_cast<int64_t>(fx);
      const float dx = fx - static_cast<float>(x0);
      for (int64_t c = 0; c < 3; c++) {
        const float top = at(y0, x0, c) * (1 - dx) + at(y0, x0 + 1, c) * dx;
        const float bottom = at(y0 + 1, x0, c) * (1 - dx) + at(y0 + 1, x0 + 1, c) * dx;
        pixels_[out++] = static_cast<uint8_t>(top * (1 - dy) + bottom * dy);
      }
    }
  }
}

}  // namespace sam3::bench
