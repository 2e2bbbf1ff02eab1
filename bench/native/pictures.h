#pragma once
#include <cstdint>
#include <vector>

#include "image/preprocess.h"

namespace sam3::bench {

// A synthetic picture [height, width, 3] of soft blobs of colour; `shift` moves them to the right, pixels. Equal
// arguments give equal pixels.
class Picture {
 public:
  Picture(int64_t width, int64_t height, uint64_t seed, int64_t shift = 0);
  RgbImage raw() const { return {pixels_.data(), width_, height_}; }

 private:
  int64_t width_, height_;
  std::vector<uint8_t> pixels_;
};

}  // namespace sam3::bench
