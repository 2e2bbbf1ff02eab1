// What a mask costs on its way from the network's logits to run lengths: without a model.
#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>

#include <algorithm>
#include <cmath>

#include "calls.h"
#include "masks/mask_runs.h"
#include "tasks.h"

namespace sam3::bench {
namespace {

constexpr int64_t kSide = 288;  // of the network's masks

// Logits of an ellipse in the middle that covers this share of the picture.
at::Tensor ellipse(double share) {
  const auto at = (at::arange(kSide, at::kFloat) + 0.5f) / static_cast<float>(kSide) - 0.5f;
  const auto square = at * at;
  return (static_cast<float>(share / M_PI) - (square.unsqueeze(0) + square.unsqueeze(1))) * 100.0f;
}

}  // namespace

void mask_task(const Json& task, Line& line) {
  const int64_t width = integer(task, "width", 3840), height = integer(task, "height", 2160);
  const double share = decimal(task, "share", 0.5);
  const auto logits = ellipse(share).unsqueeze(0);
  at::set_num_threads(1);
  MaskSet set;
  const auto round = [&] {
    const Stopwatch watch;
    set = runs_from_logits(logits, width, height);
    return watch.ms();
  };
  line.times(Repeats(task).times_of(round))
      .add("share", share)
      .add("width", static_cast<double>(width))
      .add("height", static_cast<double>(height))
      .add("area", static_cast<double>(set.masks[0].area))
      .add("runs", static_cast<double>(set.masks[0].runs.size()));
}

}  // namespace sam3::bench
