#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <vector>

#include "image/image_model.h"
#include "video/frames/stage_times.h"
#include "video/tracker/memory_view.h"

namespace sam3 {

// Logit of every pixel of an object that is not there, and of the object itself.
inline constexpr float kAbsent = -1024.0f;

// The network's part of tracking, without any state of a video. N objects, G x G features. Batches are split so that
// they fit into the model's memory budget, and once more where memory ends all the same; ERR_OUT_OF_MEMORY where one
// object alone does not fit. Source: track_step, _forward_sam_heads, _use_mask_as_output and _encode_new_memory of the
// reference's tracker.
class TrackNetwork {
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
  // Masks [count,h,w] of the objects from `begin` on. Asked for in parts, because all of them at full size may not fit.
  using MaskSource = std::function<at::Tensor(int64_t begin, int64_t count)>;

  TrackNetwork(ImageModel& model, StageClock& clock) : model_(model), clock_(clock) {}

  int64_t memory_frames();  // 7 in SAM 3, the conditioning frames' place included

  // Features [sum of N,C,G,G] of a frame that its objects' memories were mixed into. Views with equally many tokens run
  // as one batch. A view without frames gets the "no memory" embedding.
  at::Tensor attend(const Program::Levels& image, const std::vector<MemoryView>& views, int64_t most_pointers);
  // Features [1,C,G,G] of a frame that has nothing to remember.
  at::Tensor without_memory(const Program::Levels& image);

  // Masks without any prompt from features [N,C,G,G].
  Decoded decode(const Program::Levels& image, const at::Tensor& features);
  // One object from features [1,C,G,G], its points and, where defined, its previous mask logits [4G,4G].
  Decoded decode_points(const Program::Levels& image, const at::Tensor& features, const Points& points,
                        const at::Tensor& previous);
  // Pointers [N,C] of masks [N,16G,16G] in 0..1 that the user gave.
  at::Tensor pointers_of_masks(const Program::Levels& image, const at::Tensor& masks);
  at::Tensor no_pointer();  // [1,C]

  // Memory [N,G*G,D] from masks at 16G or another size, as values 20 * probability - 10, and object logits [N,1].
  at::Tensor encode_memory(const Program::Levels& image, const MaskSource& masks, const at::Tensor& object_logits);

  // How many objects fit into one batch where each needs `floats` numbers of the network's dtype.
  int64_t objects_per_batch(int64_t floats) const;

 private:
  struct Piece;  // some objects of one view
  const Program::TrackerConstants& constants();
  at::Tensor attend_batch(const Program::Levels& image, const std::vector<Piece>& pieces, int64_t most_pointers);
  Decoded decode_batch(const Program::Levels& image, const at::Tensor& features, const Program::PromptTokens& tokens,
                       bool multimask);
  Program::PromptTokens prompt_tokens(const Points& points, const at::Tensor& mask);
  at::Tensor to_device(const at::Tensor& t) const;  // where it is not there

  ImageModel& model_;
  StageClock& clock_;
  Program::TrackerConstants constants_;  // made when first needed
  at::Tensor frame_positions_;           // [7,G*G,D]
  Program::PromptTokens no_prompt_;      // batch 1
};

}  // namespace sam3
