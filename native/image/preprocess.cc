#include "image/preprocess.h"

#include <ATen/Functions.h>
#include <ATen/ops/_upsample_bilinear2d_aa.h>

namespace sam3 {

at::Tensor resize_to_square(const RawImage& image, int64_t size, c10::Device device) {
  auto pixels = at::from_blob(const_cast<uint8_t*>(image.data), {image.height, image.width, 3}, at::kByte);
  pixels = pixels.permute({2, 0, 1}).unsqueeze(0);  // a channels-last view: ATen's uint8 kernel reads it as it lies
  if (device.is_cpu()) {
    if (image.width == size && image.height == size) return pixels.squeeze(0).contiguous();
    return at::_upsample_bilinear2d_aa(pixels, {size, size}, /*align_corners=*/false, c10::nullopt, c10::nullopt)
        .squeeze(0)
        .contiguous();
  }
  // GPUs have no uint8 kernel: torchvision resizes in float and rounds.
  const auto wide = pixels.to(device).to(at::kFloat);
  return at::_upsample_bilinear2d_aa(wide, {size, size}, false, c10::nullopt, c10::nullopt)
      .round_()
      .clamp_(0, 255)
      .to(at::kByte)
      .squeeze(0);
}

at::Tensor preprocess(const RawImage& image, int64_t size, const Target& target) {
  auto x = resize_to_square(image, size, target.device).unsqueeze(0).to(at::kFloat);
  x = x.mul_(1.0f / 255.0f).sub_(0.5f).div_(0.5f);
  return x.to(target.dtype).contiguous();
}

}  // namespace sam3
