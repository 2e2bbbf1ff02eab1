// Construction and image features. Concepts are in segment.cc, clicks in predict.cc.
#include "image/image_model.h"

#include <ATen/Functions.h>

#include <algorithm>

#include "core/error.h"

namespace sam3 {
namespace {

constexpr int64_t kGpuBatch = 8;
constexpr int64_t kGiB = int64_t{1} << 30;

// Bytes of activations that a decoder batch may take when the user named none: part of what a GPU has left beside the
// weights, since other models and processes may share it.
int64_t default_memory_budget(c10::Device device) {
  if (device.is_cpu()) return 2 * kGiB;
  const int64_t free = free_device_memory(device);
  return free > 0 ? std::max(kGiB, free * 2 / 5) : 8 * kGiB;
}

std::vector<int64_t> sizes_of(const Architecture& a) {
  std::vector<int64_t> sizes;
  const int64_t step = a.patch_size * a.window_size;
  for (int64_t size = step; size <= 2 * a.image_size; size += step) sizes.push_back(size);
  return sizes;
}

int64_t checked_input_size(const Architecture& architecture, int64_t asked) {
  const int64_t size = asked == 0 ? architecture.image_size : asked;
  const auto sizes = sizes_of(architecture);
  if (std::find(sizes.begin(), sizes.end(), size) != sizes.end()) return size;
  std::string valid;
  for (const int64_t one : sizes) valid += (valid.empty() ? "" : ", ") + std::to_string(one);
  throw Error(
      ERR_INVALID_INPUT_SIZE,
      "inputSize " + std::to_string(asked) + " does not fit the image encoder's patches and windows.",
      "Valid sizes: " + valid + " (the network was trained at " + std::to_string(architecture.image_size) + ").");
}

}  // namespace

ImageModel::ImageModel(const ProgramFiles& files, const ImageModelOptions& options,
                       const std::function<void(uint64_t, uint64_t)>& progress)
    : program_(Program::load(files, resolve_target(options.device, options.dtype), progress)) {
  const bool gpu = !program_.target().device.is_cpu();
  input_size_ = checked_input_size(program_.architecture(), options.input_size);
  grid_ = input_size_ / program_.architecture().patch_size;
  // On a CPU one image already fills the cores: a larger batch would only cost memory.
  max_batch_ = options.max_batch > 0 ? options.max_batch : (gpu ? kGpuBatch : 1);
  memory_budget_ = options.memory_budget > 0 ? options.memory_budget : default_memory_budget(program_.target().device);
}

int64_t ImageModel::feature_bytes() const {
  const auto& a = program_.architecture();
  // The image encoder's map, and levels of G x G, 2G x 2G and 4G x 4G.
  const int64_t elements = (a.vision_width + (1 + 4 + 16) * a.hidden_size) * grid_ * grid_;
  return elements * static_cast<int64_t>(c10::elementSize(program_.target().dtype));
}

std::vector<int64_t> ImageModel::valid_input_sizes() const {
  return sizes_of(program_.architecture());
}

at::Tensor ImageModel::encode_batch(const std::vector<RgbImage>& images, const CancelProbe& cancel, StageLog* log) {
  const auto pixels = translate(ERR_INFERENCE, "Preparing images", [&] {
    const auto stage = StageLog::on_host(log, Stage::prepare);
    return preprocess(images, input_size_, program_.target());
  });
  const auto stage = StageLog::on_device(log, Stage::encode);
  return program_.encode_image(pixels, [&] { cancel.check(); });
}

std::vector<ImageFeaturesPtr> ImageModel::encode(const std::vector<RgbImage>& images, const CancelProbe& cancel,
                                                 StageLog* log) {
  std::vector<ImageFeaturesPtr> out;
  for (size_t begin = 0; begin < images.size(); begin += max_batch_) {
    cancel.check();
    const size_t count = std::min<size_t>(max_batch_, images.size() - begin);
    const auto first = images.begin() + static_cast<std::ptrdiff_t>(begin);
    const auto vit = encode_batch({first, first + static_cast<std::ptrdiff_t>(count)}, cancel, log);
    for (size_t i = 0; i < count; i++) {
      auto features = std::make_shared<ImageFeatures>();
      features->width = images[begin + i].width;
      features->height = images[begin + i].height;
      // A copy of its own, or one kept handle would hold the memory of the whole batch.
      features->vit = count == 1 ? vit : vit.narrow(0, static_cast<int64_t>(i), 1).clone();
      out.push_back(std::move(features));
    }
  }
  cancel.check();
  return out;
}

ImageFeaturesPtr ImageModel::encode_pixels(const at::Tensor& pixels, int64_t width, int64_t height,
                                           const CancelProbe& cancel) {
  cancel.check();
  auto features = std::make_shared<ImageFeatures>();
  features->width = width;
  features->height = height;
  features->vit = program_.encode_image(pixels, [&] { cancel.check(); });
  return features;
}

namespace {

// In a video SAM 3.1's third neck is made first (see FrameStore), elsewhere nobody asks for it: with the other two the
// encoder's map has served.
void drop_map(ImageFeatures& image) {
  if (image.detector.coarse.defined() && image.tracker.coarse.defined()) image.vit.reset();
}

}  // namespace

const Program::Levels& ImageModel::detector_levels(ImageFeatures& image) {
  if (!image.detector.coarse.defined()) image.detector = program_.neck_detect(image.vit);
  drop_map(image);
  return image.detector;
}

const Program::Levels& ImageModel::tracker_levels(ImageFeatures& image) {
  if (!image.tracker.coarse.defined()) image.tracker = program_.neck_track(image.vit);
  drop_map(image);
  return image.tracker;
}

const Program::Levels& ImageModel::propagation_levels(ImageFeatures& image) {
  if (!program_.is_multiplex()) return tracker_levels(image);
  if (!image.propagation.coarse.defined()) image.propagation = program_.neck_propagate(image.vit);
  return image.propagation;
}

}  // namespace sam3
