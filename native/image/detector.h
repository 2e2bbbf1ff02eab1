#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <vector>

#include "core/cancel.h"
#include "image/prompts.h"
#include "network/program.h"
#include "network/text_cache.h"

namespace sam3 {

// The network's answers to concepts, for images and for frames of a video: what is found of P prompts as one batch, and
// masks of what the caller keeps of it. Source: Meta's Sam3Image.forward_grounding. Engine thread only.
class Detector {
 public:
  explicit Detector(const Program& program) : program_(program) {}

  struct Found {                  // on the device
    at::Tensor scores, presence;  // sigmoid(logit) * sigmoid(presence) [P,Q], sigmoid(presence) [P,1]
    at::Tensor boxes;             // [P,Q,4]: x0 y0 x1 y1, 0..1
    int64_t queries = 0;          // Q
    at::Tensor query_features, encoded, prompt, valid;  // for masks()
  };
  // Prompt p looks at image `images`[p] of the coarse levels `coarse` [B,C,G,G].
  Found find(const std::vector<const ConceptPrompt*>& prompts, const std::vector<int64_t>& images,
             const at::Tensor& coarse, const CancelProbe& cancel);

  // Features of all queries [P,Q,C], of each prompt by score, best first, equal ones as they lie: where the host keeps
  // the best it needs to send no index. Scores that are no number come first.
  static at::Tensor best_first(const Found& found);
  // Features [K,C] of these queries of each prompt, undefined where there are none.
  static std::vector<at::Tensor> features_of(const Found& found, const std::vector<std::vector<int64_t>>& queries);

  // Prompts whose masks are decoded, all of one image with these features (batch 1). In the order of find().
  struct Wanted {
    const Program::Levels* image;
    std::vector<int64_t> prompts;
  };
  // `kept`[p]: the features [K,C] of the queries of prompt p that masks are made of, or undefined. `take(p, masks,
  // semantic)` gets logits [K,4G,4G], undefined where none are kept, and the logits [1,4G,4G] of the semantic map.
  using Take = std::function<void(int64_t, const at::Tensor&, const at::Tensor&)>;
  void masks(const Found& found, const std::vector<Wanted>& wanted, const std::vector<at::Tensor>& kept,
             const CancelProbe& cancel, const Take& take) const;

  size_t cached_texts() const { return texts_.size(); }

 private:
  const Program& program_;
  TextCache texts_{512};
};

}  // namespace sam3
