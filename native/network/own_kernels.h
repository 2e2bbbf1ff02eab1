#pragma once
#include <torch/csrc/jit/api/module.h>

#include <cstdint>
#include <future>
#include <map>
#include <string>

#include "network/device.h"

namespace sam3 {

// Kernels of our own in a program (native/kernels).
struct OwnKernels {
  std::map<std::string, int64_t> calls;  // replaced, by the function's name
  std::string why_not;                   // empty where they are used
};

// Begins to compile our kernels for a target and to try them, which takes a second, on a thread of its own. The answer
// is why they are not used: never on a CPU, and not with SAM3_KERNELS=off.
std::future<std::string> prepare_kernels(const Target& target);

// Puts our operators in place of a program's calls of the functions that scripts/export/fused.py has, of layer_norm
// and, in half precision, of linear_gelu, unless there is a reason not to. To be called before the program runs.
OwnKernels use_kernels(const torch::jit::Module& module, c10::ScalarType dtype, std::future<std::string> why_not);

}  // namespace sam3
