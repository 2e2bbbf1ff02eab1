#pragma once
#include <ATen/ATen.h>

#include <algorithm>
#include <cstdlib>
#include <stdexcept>
#include <string>

#include "network/program.h"

namespace sam3::standin {

// The network of the true size, for calls that compute shapes only: see scripts/support/shapes-model.mjs.
inline ProgramFiles shapes_model() {
  const auto setting = [](const char* name) -> std::string {
    if (const char* value = std::getenv(name)) return value;
    throw std::runtime_error(std::string(name) + " is not set: run this with node scripts/native-test.mjs");
  };
  const std::string folder = setting("SAM3_SHAPES_PROGRAM"), weights = setting("SAM3_SHAPES_WEIGHTS");
  return {folder + "/program.pt", weights + "/names.json", weights + "/model.safetensors"};
}

// What the host reads of a network that computes nothing: the first queries are found, masks are stripes side by side.
class MadeUp {
 public:
  MadeUp(int64_t queries, int64_t mask_side, int64_t found) : queries_(queries), mask_side_(mask_side), found_(found) {}

  void operator()(at::Tensor& host) const {
    const int64_t pixels = mask_side_ * mask_side_;
    if (host.dim() >= 3) {
      stripes(host);
    } else if (host.numel() % (5 * queries_ + 1) == 0) {  // presence, scores and boxes together
      const int64_t prompts = host.numel() / (5 * queries_ + 1);
      scores_and_boxes(host.narrow(0, prompts, host.numel() - prompts));
      host.narrow(0, 0, prompts).fill_(0.9);
    } else if (host.numel() % (5 * queries_) == 0) {
      scores_and_boxes(host);
    } else {  // perhaps masks, and a few numbers for each
      host.fill_(0.9);
      const int64_t masks = host.numel() / pixels;
      if (masks > 0) stripes(host.narrow(0, 0, masks * pixels).view({masks, mask_side_, mask_side_}));
    }
  }

 private:
  void stripes(const at::Tensor& masks) const {
    const bool bits = masks.scalar_type() == at::kByte;
    // Rows of bits are longer than the masks, to whole words.
    const int64_t columns = bits && masks.size(-2) == mask_side_ ? mask_side_ / 8 : masks.size(-1);
    const int64_t width = std::max<int64_t>(columns / found_, 1);
    masks.fill_(bits ? 0 : -5);
    for (int64_t i = 0; i < masks.size(0); i++) masks[i].narrow(-1, i % found_ * width, width).fill_(bits ? 0xFF : 5);
  }
  void scores_and_boxes(const at::Tensor& values) const {
    const int64_t prompts = values.numel() / (5 * queries_);
    values.fill_(0.5);  // boxes
    const at::Tensor scores = values.narrow(0, 0, prompts * queries_).view({prompts, queries_});
    scores.fill_(0);
    scores.narrow(1, 0, found_).fill_(0.9);
  }

  int64_t queries_, mask_side_, found_;
};

}  // namespace sam3::standin
