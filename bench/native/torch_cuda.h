#pragma once
#include <dlfcn.h>

#include <stdexcept>
#include <string>

namespace sam3 {

// Programs of our own link LibTorch's CPU half only. Its CUDA half registers itself once it is opened, which the
// addon's loader does for Node.
inline void open_torch_for(const std::string& device) {
  if (device.rfind("cuda", 0) != 0) return;
  if (!dlopen("libtorch_cuda.so", RTLD_NOW | RTLD_GLOBAL))
    throw std::runtime_error(std::string("LibTorch's CUDA half cannot be opened: ") + dlerror());
}

}  // namespace sam3
