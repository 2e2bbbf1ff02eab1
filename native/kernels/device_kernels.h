#pragma once
#include <c10/core/Device.h>
#include <c10/core/ScalarType.h>

#include <string>

#include "kernels/launch.h"

namespace sam3::kernels {

// The kernels for one dtype on one CUDA device.
class DeviceKernels {
 public:
  // Compiles and loads them. Empty, or why there are none.
  static std::string make(c10::Device device, c10::ScalarType dtype);
  // Null before `make`, where that failed, and while the current stream is not the device's default one: the engine
  // uses no other, and only the default one's handle is known without CUDA's headers.
  static const DeviceKernels* of(c10::Device device, c10::ScalarType dtype);

  // Throws c10::Error, in CUDA's words, where a kernel cannot be launched.
  const Launch& launcher() const { return launcher_; }

 private:
  Launch launcher_;
};

}  // namespace sam3::kernels
