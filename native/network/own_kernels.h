#pragma once
#include <torch/csrc/jit/api/module.h>

#include <cstdint>
#include <map>
#include <string>

#include "network/device.h"

namespace sam3 {

// Kernels of our own in a program (native/kernels).
struct OwnKernels {
  std::map<std::string, int64_t> calls;  // replaced, by the function's name
  std::string why_not;                   // empty where they are used
};

// Puts our operators in place of a program's calls of the functions that scripts/export/fused.py has, where they work
// on the target. Never on a CPU, and not with SAM3_KERNELS=off. To be called before the program runs.
OwnKernels use_kernels(const torch::jit::Module& module, const Target& target);

}  // namespace sam3
