#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <vector>

#include "image/image_model.h"
#include "video/tracker/click_network.h"
#include "video/tracker/memory_view.h"

namespace sam3 {

// The network's part of SAM 3's tracking, without any state of a video. N objects, G x G features. Batches are split so
// that they fit into the model's memory budget, and once more where memory ends all the same; ERR_OUT_OF_MEMORY where
// one object alone does not fit. Source: track_step, _forward_sam_heads, _use_mask_as_output and _encode_new_memory of
// the reference's tracker.
class TrackNetwork : public ClickNetwork {
 public:
  // Masks [count,h,w] of the objects from `begin` on. Asked for in parts, because all of them at full size may not fit.
  using MaskSource = std::function<at::Tensor(int64_t begin, int64_t count)>;

  using ClickNetwork::ClickNetwork;

  int64_t memory_frames();  // 7 in SAM 3, the conditioning frames' place included

  // Features [sum of N,C,G,G] of a frame that its objects' memories were mixed into. Views with equally many tokens run
  // as one batch. A view without frames gets the "no memory" embedding.
  at::Tensor attend(const Program::Levels& image, const std::vector<MemoryView>& views, int64_t most_pointers);

  // Masks without any prompt from features [N,C,G,G].
  Decoded decode(const Program::Levels& image, const at::Tensor& features);
  at::Tensor no_pointer();  // [1,C]

  // Memory [N,G*G,D] from masks at 16G or another size, as values 20 * probability - 10, and object logits [N,1].
  at::Tensor encode_memory(const Program::Levels& image, const MaskSource& masks, const at::Tensor& object_logits);

 private:
  struct Piece;  // some objects of one view
  const Program::TrackerConstants& constants();
  at::Tensor attend_batch(const Program::Levels& image, const std::vector<Piece>& pieces, int64_t most_pointers);

  Program::TrackerConstants constants_;  // made when first needed
  at::Tensor frame_positions_;           // [7,G*G,D]
  Program::PromptTokens no_prompt_;      // batch 1
};

}  // namespace sam3
