#include "video/frames/frame_store.h"

#include <algorithm>

#include "core/error.h"
#include "core/host_values.h"

namespace sam3 {
namespace {

int64_t bytes_of_levels(const Program::Levels& levels) {
  return bytes_of({&levels.fine, &levels.middle, &levels.coarse});
}

}  // namespace

void FrameStore::open(int64_t frame, const RgbImage* image, const CancelProbe& cancel) {
  ensure(frame, image, cancel);
  current_ = frame;
  trim();
}

ImageFeatures& FrameStore::ensure(int64_t frame, const RgbImage* image, const CancelProbe& cancel) {
  if (const auto found = features_.find(frame); found != features_.end()) return *found->second;
  const StageTimer timer(clock_, &StageTimes::encode);
  const auto kept = pixels_.find(frame);
  if (kept == pixels_.end() && !image)
    throw Error(ERR_INVALID_FRAME, "Frame " + std::to_string(frame) + " is not held any more.",
                "Send its image, or start the session with history 'full'.");
  return translate(ERR_INFERENCE, "Encoding a frame", [&]() -> ImageFeatures& {
    const at::Tensor resized =
        kept != pixels_.end() ? kept->second : resize_frame(*image, model_.input_size(), filter_);
    if (!table_.defined()) table_ = byte_table(filter_, model_.program().target());
    const auto input = normalize_frame(resized, table_);
    const auto features = model_.encode_pixels(input, model_.input_size(), model_.input_size(), cancel);
    model_.propagation_levels(*features);
    cancel.check();
    if (full_history_) pixels_.try_emplace(frame, resized);
    return *(features_[frame] = features);
  });
}

Program::Levels FrameStore::propagation(int64_t frame) {
  ImageFeatures& features = ensure(frame, nullptr, {});
  return translate(ERR_INFERENCE, "Encoding a frame", [&] { return model_.propagation_levels(features); });
}

Program::Levels FrameStore::tracker(int64_t frame) {
  ImageFeatures& features = ensure(frame, nullptr, {});
  return translate(ERR_INFERENCE, "Encoding a frame", [&] { return model_.tracker_levels(features); });
}

Program::Levels FrameStore::detector(int64_t frame) {
  ImageFeatures& features = ensure(frame, nullptr, {});
  const StageTimer timer(clock_, &StageTimes::encode);
  return translate(ERR_INFERENCE, "Encoding a frame", [&] { return model_.detector_levels(features); });
}

void FrameStore::pin(const void* owner, const std::set<int64_t>& frames) {
  if (frames.empty())
    pinned_.erase(owner);
  else
    pinned_[owner] = frames;
  trim();
}

void FrameStore::trim() {
  std::erase_if(features_, [&](const auto& entry) {
    return entry.first != current_ && std::none_of(pinned_.begin(), pinned_.end(), [&](const auto& owned) {
             return owned.second.count(entry.first) > 0;
           });
  });
}

void FrameStore::clear() {
  features_.clear();
  pixels_.clear();
  pinned_.clear();
  current_ = -1;
}

int64_t FrameStore::host_bytes() const {
  int64_t total = 0;
  for (const auto& [frame, pixels] : pixels_) total += bytes_of({&pixels});
  return total;
}

int64_t FrameStore::feature_bytes() const {
  int64_t total = 0;
  for (const auto& [frame, features] : features_)
    total += bytes_of({&features->vit}) + bytes_of_levels(features->detector) + bytes_of_levels(features->tracker) +
             bytes_of_levels(features->propagation);
  return total;
}

int64_t FrameStore::bytes_per_frame() const {
  return full_history_ ? 3 * model_.input_size() * model_.input_size() : 0;
}

}  // namespace sam3
