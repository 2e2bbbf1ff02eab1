#pragma once
#include <ATen/Context.h>
#include <c10/core/Device.h>

namespace sam3 {

// While it lives, LibTorch may take cuDNN's attention; otherwise a model on a GPU does without (Program::load). On
// Hopper cuDNN needs a third to a half less time for large shapes, but plans anew, for about 0.1 s and on the host,
// each shape that it has not met, and each call costs the host more. So it is for calls whose shapes return for long.
// The setting is the process's: of two models that work at a time one may get what the other wants, which differs by
// rounding.
class PlannedAttention {
 public:
  PlannedAttention(c10::Device device, bool worth_it) : set_(device.is_cuda() && worth_it) {
    if (set_) at::globalContext().setSDPUseCuDNN(true);
  }
  ~PlannedAttention() {
    if (set_) at::globalContext().setSDPUseCuDNN(false);
  }
  PlannedAttention(const PlannedAttention&) = delete;
  PlannedAttention& operator=(const PlannedAttention&) = delete;

 private:
  bool set_;
};

}  // namespace sam3
