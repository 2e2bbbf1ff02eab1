#pragma once
#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "core/cancel.h"
#include "core/stage_log.h"
#include "image/detector.h"
#include "image/preprocess.h"
#include "image/prompts.h"
#include "masks/mask_runs.h"
#include "network/image_features.h"
#include "network/program.h"

namespace sam3 {

using ImageInput = std::variant<RgbImage, ImageFeaturesPtr>;

struct SegmentItem {
  ImageInput image;
  std::vector<ConceptPrompt> prompts;
};

// Instances of one concept in one image, by falling score.
struct Segmentation {
  std::vector<float> scores;  // K, sigmoid(logit) * sigmoid(presence)
  std::vector<float> boxes;   // 4K, x0 y0 x1 y1, pixels of the original image, not clamped
  float presence = 0;         // sigmoid: how sure the network is that the concept is in the image at all
  MaskSet masks;              // K
  std::vector<float> logits;  // K * size * size, when asked
  int64_t logits_size = 0;
  std::optional<MaskSet> semantic;  // 1 mask, when asked
};

struct Prediction {
  std::vector<float> ious;           // M = prompts * (3 when multimask, else 1)
  std::vector<float> object_scores;  // one logit per prompt
  MaskSet masks;                     // M
  std::vector<float> low_res;        // M * size * size logits, clamped to +-32
  int64_t low_res_size = 0;
};

struct ImageModelOptions {
  std::string device = "auto", dtype = "auto";
  int64_t input_size = 0;     // side of the network input, pixels; 0 = the architecture's own
  int64_t max_batch = 0;      // images per image-encoder batch; 0 = 1 on a CPU, 8 on a GPU
  int64_t memory_budget = 0;  // bytes of activations a decoder batch may take; 0 = by device
};

// The image path: encode, segment by concept, predict by clicks. Not thread-safe: everything but the constructor is
// called on the engine thread. `log`, where there is one, gets the stages of a call.
class ImageModel {
 public:
  ImageModel(const ProgramFiles& files, const ImageModelOptions& options,
             const std::function<void(uint64_t, uint64_t)>& progress);
  ImageModel(const ImageModel&) = delete;  // its detector refers to its program
  ImageModel& operator=(const ImageModel&) = delete;

  // Image features, kept for many questions. Images run in encoder batches of at most `max_batch`.
  std::vector<ImageFeaturesPtr> encode(const std::vector<RgbImage>& images, const CancelProbe& cancel,
                                       StageLog* log = nullptr);

  // Every (image, prompt) pair of all items runs in one decoder batch, split by the memory budget. Result
  // [item][prompt].
  std::vector<std::vector<Segmentation>> segment(const std::vector<SegmentItem>& items, const CancelProbe& cancel,
                                                 StageLog* log = nullptr);

  // Of what segment() was given. Throws ERR_NO_DETECTOR, ERR_INVALID_ARGUMENT.
  void check(const std::vector<SegmentItem>& items) const;

  // Prompts with the same number of points run as one batch.
  Prediction predict(const ImageInput& image, const std::vector<ClickPrompt>& prompts, bool multimask,
                     const CancelProbe& cancel, StageLog* log = nullptr);

  // Features of one image from the network's input [1,3,S,S], for callers with a transform of their own (video).
  // `width` and `height` are those of the image, pixels. Throws ERR_INFERENCE, ERR_OUT_OF_MEMORY, ABORT_ERR.
  ImageFeaturesPtr encode_pixels(const at::Tensor& pixels, int64_t width, int64_t height, const CancelProbe& cancel);
  // The necks of an image, made when first asked for. The references live as long as the features do.
  const Program::Levels& detector_levels(ImageFeatures& image);
  const Program::Levels& tracker_levels(ImageFeatures& image);      // of clicks
  const Program::Levels& propagation_levels(ImageFeatures& image);  // of what is followed through a video

  const Program& program() const { return program_; }
  Detector& detector() { return detector_; }
  int64_t memory_budget() const { return memory_budget_; }  // bytes of activations a batch may take
  int64_t pairs_per_batch() const;  // (image, prompt) pairs, or clicked objects, that fit into the budget
  int64_t feature_bytes() const;    // of an encoded image with the detector's levels, an estimate
  int64_t input_size() const { return input_size_; }
  int64_t grid() const { return grid_; }
  int64_t mask_side() const { return 4 * grid_; }  // of a low-resolution mask
  int64_t max_batch() const { return max_batch_; }
  size_t cached_texts() const { return detector_.cached_texts(); }
  // Input sizes the network accepts: multiples of patch * window, up to twice the native size.
  std::vector<int64_t> valid_input_sizes() const;

 private:
  at::Tensor encode_batch(const std::vector<RgbImage>& images, const CancelProbe& cancel, StageLog* log);
  struct Answers;  // of clicks, see predict.cc
  Answers predict_batch(const Program::Levels& levels, const std::vector<ClickPrompt>& prompts,
                        const std::vector<size_t>& members, bool multimask);

  Program program_;
  int64_t input_size_, grid_, max_batch_, memory_budget_;
  Detector detector_{program_};
  at::Tensor no_memory_;  // [1, C, 1, 1], made when first clicked
};

}  // namespace sam3
