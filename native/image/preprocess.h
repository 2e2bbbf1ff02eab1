#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "network/device.h"

namespace sam3 {

// Decoded pixels owned by the caller: RGB, 8 bits, row-major [height, width, 3].
struct RgbImage {
  const uint8_t* data = nullptr;
  int64_t width = 0;
  int64_t height = 0;
};

// The network's input [N, 3, size, size] of N images: squashed to a square without padding, (x / 255 - 0.5) / 0.5.
// Source: Meta's image transform (torchvision v2.Resize on uint8, bilinear with antialias, rounded to uint8; then the
// multiplication by fp32(1/255), not a division). Resized on the host, so equal to the byte on every device.
at::Tensor preprocess(const std::vector<RgbImage>& images, int64_t size, const Target& target);

// The second half of it: of N images that were resized.
at::Tensor network_input(const std::vector<at::Tensor>& resized, const Target& target);

// The first half, the uint8 stage for one image [3, size, size], which the goldens record. On the host.
at::Tensor resize_to_square(const RgbImage& image, int64_t size);

}  // namespace sam3
