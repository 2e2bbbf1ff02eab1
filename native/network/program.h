#pragma once
#include <ATen/core/Tensor.h>
#include <torch/csrc/jit/api/module.h>

#include <functional>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "network/device.h"
#include "network/own_kernels.h"
#include "weights/name_map.h"
#include "weights/weight_parts.h"

namespace sam3 {

// Where the network and its weights lie. `weights` is a safetensors file or index, Meta's sam3.pt, or a self-contained
// TorchScript checkpoint (told apart by content); `program` and `names` are needed for all but the last.
struct ProgramFiles {
  std::string program, names, weights;
  bool for_video = false;  // weights that cannot follow objects through a video are refused
};

// The network on its device: one typed C++ call for each exported method. B images or objects, P prompts, T texts,
// N boxes or points, Q queries, G = input size / patch, C = hidden size, L = prompt length. No state but the weights.
class Program {
 public:
  // `progress(done, total)` counts bytes of weights. Throws ERR_PROGRAM, ERR_MODEL_FORMAT, ERR_WEIGHTS_*, and
  // ERR_NO_TRACKER for weights that are not what `files.for_video` asks for.
  static Program load(const ProgramFiles& files, const Target& target,
                      const std::function<void(uint64_t, uint64_t)>& progress = {});

  const Architecture& architecture() const { return architecture_; }
  // SAM 3.1 (Object Multiplex), whose tracker has methods of its own.
  bool is_multiplex() const { return architecture_.slots > 0; }
  const Target& target() const { return target_; }
  // What the weights have. A method of a part that they lack must not be called: its parameters hold nothing.
  const WeightParts& parts() const { return parts_; }
  int64_t parameters() const { return parameters_; }
  int64_t weight_bytes() const { return weight_bytes_; }
  // Which calls of the network are kernels of our own, or why none is.
  const OwnKernels& kernels() const { return kernels_; }
  // The text carried inside a self-contained checkpoint; empty otherwise.
  const std::string& tokenizer_json() const { return tokenizer_json_; }

  struct Levels {
    at::Tensor fine, middle, coarse;  // side 4G, 2G, G
  };
  struct Geometry {
    at::Tensor tokens, valid;  // [P, N+1, C], bool [P, N+1]
  };
  struct Detection {
    at::Tensor logits, boxes, presence, queries,
        encoded;  // [P,Q] [P,Q,4] xyxy 0..1, [P,1] (all fp32), [P,Q,C], [P,G*G,C]
  };
  struct PixelMaps {
    at::Tensor instance, semantic;  // [P,C,4G,4G], [P,1,4G,4G]
  };
  // Labels of the corners of a box among the points of prompt_encode.
  static constexpr int64_t kBoxTopLeft = 2, kBoxBottomRight = 3;
  struct PromptTokens {
    at::Tensor sparse, dense;  // [B,N+1,C], [B,C,G,G]
  };
  struct ClickMasks {
    at::Tensor masks, iou, tokens, object;  // [B,4,4G,4G] logits, [B,4], [B,4,C], [B,1] logit
  };
  // Tables and learned embeddings of SAM 3's tracker for a grid of G x G. D = channels of a memory frame.
  struct TrackerConstants {
    at::Tensor memory_position;    // [1,D,G,G] sine map
    at::Tensor temporal_position;  // [7,D]: memories 1 to 6 frames away, then conditioning frames
    at::Tensor no_memory;          // [1,C] added to the coarse level where there is nothing to remember
    at::Tensor no_pointer;         // [1,C] pointer of an object that is not visible
  };

  // [B,3,S,S] -> [B,Cv,G,G]. `between_layers` is called before each group of ViT layers and may throw to stop.
  at::Tensor encode_image(const at::Tensor& pixels, const std::function<void()>& between_layers) const;
  Levels neck_detect(const at::Tensor& vit) const;
  Levels neck_track(const at::Tensor& vit) const;
  at::Tensor encode_text(const at::Tensor& ids, const at::Tensor& valid) const;
  Geometry encode_geometry(const at::Tensor& boxes, const at::Tensor& labels, const at::Tensor& valid,
                           const at::Tensor& coarse, const at::Tensor& image_index) const;
  // `coarse` holds the coarse level of all images, of which `image_index` names one for each prompt.
  Detection detect(const at::Tensor& coarse, const at::Tensor& image_index, const at::Tensor& prompt,
                   const at::Tensor& valid) const;
  PixelMaps pixel_embed(const Levels& features, const at::Tensor& image_index, const at::Tensor& encoded,
                        const at::Tensor& prompt, const at::Tensor& valid) const;
  at::Tensor masks(const at::Tensor& pixel_map, const at::Tensor& queries) const;
  PromptTokens prompt_encode(const at::Tensor& points, const at::Tensor& labels, const at::Tensor& mask,
                             const at::Tensor& use_mask) const;
  ClickMasks mask_decode(const at::Tensor& fine, const at::Tensor& middle, const at::Tensor& pixels,
                         const PromptTokens& tokens) const;
  // Output token of the mask that was chosen for clicks or a mask [B,C], object logit [B,1] -> object pointer [B,C];
  // not its own where logit <= 0.
  at::Tensor object_pointer(const at::Tensor& token, const at::Tensor& object_logit) const;
  // A user's mask [B,1,16G,16G] in 0..1 -> mask prompt [B,1,4G,4G].
  at::Tensor mask_to_prompt(const at::Tensor& mask) const;
  // [1,C]: added to the coarse level of clicks where there is nothing to remember.
  at::Tensor no_memory(int64_t grid) const;
  // coarse [B,C,G,G], mask [B,1,16G,16G] = 20 * probability - 10, object logit [B,1] -> memory features [B,D,G,G].
  at::Tensor memory_encode(const at::Tensor& coarse, const at::Tensor& mask, const at::Tensor& object_logit) const;
  // coarse [B or 1,C,G,G] attends to memory [B, M*G*G + pointer_tokens, D] and its positions (the same, or batch 1): M
  // frames in row-major order, then the pointers, each cut into C / D tokens -> [B,C,G,G].
  at::Tensor memory_attend(const at::Tensor& coarse, const at::Tensor& memory, const at::Tensor& memory_position,
                           int64_t pointer_tokens) const;
  // Offsets in time [K] fp32, frames / (most pointers - 1) -> [K,D].
  at::Tensor pointer_position(const at::Tensor& offset) const;
  TrackerConstants tracker_constants(int64_t grid) const;

  // SAM 3.1. B buckets of S slots, L layers of memory attention.
  struct Projection {
    at::Tensor keys, values;  // [L,B,T,C]
  };
  struct SlotMasks {
    at::Tensor masks, iou, tokens, object;  // [B,S,3,4G,4G] logits, [B,S,3], [B,S,3,C], [B,S,1] logit
  };
  // The levels on which objects are followed; those of clicks are neck_track().
  Levels neck_propagate(const at::Tensor& vit) const;
  // coarse [1,C,G,G], masks [B,2S,16G,16G]: 2 * probability - 1 of every slot, then 1 for those whose objects have
  // input on the frame; object logits [B,S,1] -> memory [B,C,G,G].
  at::Tensor memory_encode_mux(const at::Tensor& coarse, const at::Tensor& masks,
                               const at::Tensor& object_logits) const;
  // What a stored frame, its memory [B,C,G,G] and its coarse level [1,C,G,G], is in the attention; T = G*G.
  Projection project_frame(const at::Tensor& memory, const at::Tensor& coarse) const;
  Projection project_pointers(const at::Tensor& pointers) const;  // [B,S,C]; T = S
  // coarse [1,C,G,G]; position [1,T,C] -> [B,C,G,G].
  at::Tensor memory_attend_mux(const at::Tensor& coarse, const Projection& memory, const at::Tensor& position) const;
  // features [B,C,G,G]; valid bool [B,S]: which slots have an object.
  SlotMasks track_decode_mux(const Levels& image, const at::Tensor& features, const at::Tensor& valid) const;
  // A token that was chosen in propagation [...,C], object logit [...,1] -> [...,C].
  at::Tensor pointer_track(const at::Tensor& token, const at::Tensor& object_logit) const;
  at::Tensor no_object_pointer(const at::Tensor& pointer) const;  // of an object that is not there: [...,C] -> [...,C]
  // Positions of a stored frame by its row of the temporal embeddings [7,G*G,C].
  at::Tensor frame_positions(int64_t grid) const;

 private:
  Program() = default;
  c10::IValue call(const char* method, std::vector<c10::IValue> inputs) const;
  std::vector<at::Tensor> call_many(const char* method, std::vector<c10::IValue> inputs, size_t outputs) const;
  void load_bound(const ProgramFiles& files, const std::function<void(uint64_t, uint64_t)>& progress);
  void load_checkpoint(const std::string& path, const std::function<void(uint64_t, uint64_t)>& progress);
  void count_weights();

  mutable torch::jit::Module module_;
  Target target_{c10::kCPU, at::kFloat};
  Architecture architecture_{};
  WeightParts parts_;
  OwnKernels kernels_;
  int64_t parameters_ = 0, weight_bytes_ = 0;
  std::string tokenizer_json_;
};

}  // namespace sam3
