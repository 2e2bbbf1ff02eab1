#include "image/preprocess.h"

#include <ATen/Functions.h>
#include <ATen/ops/_upsample_bilinear2d_aa.h>

namespace sam3 {

at::Tensor resize_to_square(const RgbImage& image, int64_t size, c10::Device device) {
  auto pixels = at::from_blob(const_cast<uint8_t*>(image.data), {image.height, image.width, 3}, at::kByte);
  pixels = pixels.permute({2, 0, 1}).unsqueeze(0);  // a channels-last view: ATen's uint8 kernel reads it as it lies
  // On the host for every device: GPUs have no uint8 kernel, and the scores of pictures that were resized in float
  // differ by up to 1e-3. It also means fewer bytes to upload.
  if (image.width != size || image.height != size)
    pixels = at::_upsample_bilinear2d_aa(pixels, {size, size}, /*align_corners=*/false, c10::nullopt, c10::nullopt);
  return pixels.squeeze(0).contiguous().to(device);
}

at::Tensor preprocess(const RgbImage& image, int64_t size, const Target& target) {
  auto x = resize_to_square(image, size, target.device).unsqueeze(0).to(at::kFloat);
  x = x.mul_(1.0f / 255.0f).sub_(0.5f).div_(0.5f);
  return x.to(target.dtype).contiguous();
}

}  // namespace sam3
