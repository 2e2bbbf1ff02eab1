#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "image/image_model.h"
#include "video/frames/stage_times.h"

namespace sam3 {

// Logit of every pixel of an object that is not there, and of the object itself.
inline constexpr float kAbsent = -1024.0f;

// The decoder of clicks in tracking, which SAM 3.1 has beside that of propagation: an object by its points, or the
// pointer of a mask that somebody gave. No state of a video. N objects, G x G features.
class ClickNetwork {
 public:
  // Points of one object in pixels of the network's input, box corners included (labels 2 and 3).
  struct Points {
    std::vector<float> xy;        // 2 per point
    std::vector<int64_t> labels;  // 1 per point
  };
  // One answer per object.
  struct Decoded {
    at::Tensor masks;          // [N,4G,4G] float32 logits, kAbsent where the object is absent
    at::Tensor pointers;       // [N,C]
    at::Tensor object_logits;  // [N,1] float32 on the device
    at::Tensor iou;            // [N] float32 on the device
  };

  ClickNetwork(ImageModel& model, StageClock& clock) : model_(model), clock_(clock) {}

  // Features [1,C,G,G] of a frame that has nothing to remember.
  at::Tensor without_memory(const Program::Levels& image);
  // One object from features [1,C,G,G], its points and, where defined, its previous mask logits [4G,4G].
  Decoded decode_points(const Program::Levels& image, const at::Tensor& features, const Points& points,
                        const at::Tensor& previous);
  // Pointers [N,C] of masks [N,16G,16G] in 0..1 that somebody gave.
  at::Tensor pointers_of_masks(const Program::Levels& image, const at::Tensor& masks);

  // How many objects fit into one batch where each needs `floats` numbers of the network's dtype.
  int64_t objects_per_batch(int64_t floats) const;

 protected:
  Decoded decode_batch(const Program::Levels& image, const at::Tensor& features, const Program::PromptTokens& tokens,
                       bool multimask);
  Program::PromptTokens prompt_tokens(const Points& points, const at::Tensor& mask);
  at::Tensor to_device(const at::Tensor& t) const;  // where it is not there

  ImageModel& model_;
  StageClock& clock_;

 private:
  // Those of masks [N,h,w] that are empty have the pointer of an object that is not there.
  at::Tensor without_empty(const at::Tensor& pointers, const at::Tensor& masks);

  at::Tensor no_memory_, no_pointer_;  // [1,C], made when first needed
};

}  // namespace sam3
