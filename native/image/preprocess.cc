#include "image/preprocess.h"

#include <ATen/Functions.h>
#include <ATen/ops/_upsample_bilinear2d_aa.h>

#include "core/host_values.h"

namespace sam3 {

at::Tensor resize_to_square(const RgbImage& image, int64_t size) {
  auto pixels = at::from_blob(const_cast<uint8_t*>(image.data), {image.height, image.width, 3}, at::kByte);
  pixels = pixels.permute({2, 0, 1}).unsqueeze(0);  // a channels-last view: ATen's uint8 kernel reads it as it lies
  // On the host for every device: GPUs have no uint8 kernel, and the scores of pictures that were resized in float
  // differ by up to 1e-3. It also means fewer bytes to upload.
  if (image.width != size || image.height != size)
    pixels = at::_upsample_bilinear2d_aa(pixels, {size, size}, /*align_corners=*/false, c10::nullopt, c10::nullopt);
  return pixels.squeeze(0).contiguous();
}

at::Tensor preprocess(const std::vector<RgbImage>& images, int64_t size, const Target& target) {
  std::vector<at::Tensor> resized;
  for (const RgbImage& image : images) resized.push_back(resize_to_square(image, size));
  return network_input(resized, target);
}

at::Tensor network_input(const std::vector<at::Tensor>& resized, const Target& target) {
  const auto bytes = resized.size() == 1 ? resized[0].unsqueeze(0) : at::stack(resized);
  auto x = upload(bytes, target.device).to(at::kFloat);
  x = x.mul_(1.0f / 255.0f).sub_(0.5f).div_(0.5f);
  return x.to(target.dtype).contiguous();
}

}  // namespace sam3
