#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <set>
#include <vector>

#include "video/tracker/click_network.h"
#include "video/tracker/slot_assignment.h"

namespace sam3 {

// What a state attends to on one frame, in the order in which it is put together. B buckets, S slots, L layers.
struct MultiplexView {
  struct Frame {
    Program::Projection projection;  // [L,B,G*G,C]
    int64_t row = 0;                 // of the temporal embeddings
  };
  struct Pointers {
    Program::Projection projection;  // [L,B,S,C]
    int64_t offset = 0;              // frames
  };
  int64_t buckets = 0;
  std::vector<Frame> frames;
  std::vector<Pointers> pointers;
  int64_t most_pointers = 0;  // what their offsets are relative to
};

// The network's part of SAM 3.1's tracking, without any state of a video: up to S objects share one pass. Batches are
// split as those of TrackNetwork, by buckets. Source: track_step, _encode_new_memory and
// _prepare_memory_conditioned_features of Meta's VideoTrackingMultiplex.
class MultiplexNetwork : public ClickNetwork {
 public:
  using MaskSource = std::function<at::Tensor(int64_t begin, int64_t count)>;
  using ClickNetwork::ClickNetwork;

  int64_t slots() const { return model_.program().architecture().slots; }

  int64_t layers();  // of the memory attention
  // What is stored of a frame, as the attention has it: memory [B,C,G,G] and the coarse level that it belongs to; or
  // pointers [B,S,C].
  Program::Projection project_frame(const at::Tensor& memory, const at::Tensor& image);
  Program::Projection project_pointers(const at::Tensor& pointers);
  // Features [B,C,G,G] of a frame that memories were mixed into; the bare image where there is no stored frame.
  at::Tensor attend(const Program::Levels& image, const MultiplexView& view);

  // The objects of a state, from features [B,C,G,G].
  struct Tracked {
    at::Tensor masks;          // [N,4G,4G] float32 logits, kAbsent where the object is absent
    at::Tensor pointers;       // [B,S,C], zeros where a slot has no object
    at::Tensor object_logits;  // [N,1] float32 on the device
  };
  Tracked decode(const Program::Levels& image, const at::Tensor& features, const SlotAssignment& slots);

  // Memory [B,C,G,G] from logits of the objects' masks at 16G or another size, and object logits [N,1]. `conditioning`:
  // the indices of the objects that have input on the frame.
  at::Tensor encode_memory(const Program::Levels& image, const MaskSource& masks, const at::Tensor& object_logits,
                           const SlotAssignment& slots, const std::set<int64_t>& conditioning);

 private:
  at::Tensor frame_positions_;  // [7,G*G,C], made when first needed
  int64_t layers_ = 0;          // the same
};

}  // namespace sam3
