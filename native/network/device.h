#pragma once
#include <c10/core/Device.h>
#include <c10/core/ScalarType.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace sam3 {

// Where the network runs and in which number format.
struct Target {
  c10::Device device;
  c10::ScalarType dtype;
};

// `device`: cpu | cuda | cuda:N | auto (the first GPU LibTorch can use, else the CPU), or the name of a backend that
// was registered with LibTorch. `dtype`: float32 | bfloat16 | float16 | auto (bfloat16 but on a CPU without bf16
// instructions). Throws ERR_DEVICE_UNAVAILABLE and ERR_INVALID_DTYPE.
Target resolve_target(const std::string& device, const std::string& dtype);

// "cpu", then every "cuda:N" that the loaded LibTorch can use.
std::vector<std::string> available_devices();

std::string dtype_name(c10::ScalarType dtype);

// Gives memory that LibTorch keeps for reuse back to the device; nothing to do on a CPU.
void release_cached_memory(c10::Device device);

// Free memory of a GPU in bytes, or 0 where LibTorch cannot tell.
int64_t free_device_memory(c10::Device device);

// What LibTorch holds of a GPU's memory for this process, in bytes: for tensors that are there, and with what it keeps
// for reuse. None on a CPU, or where LibTorch cannot tell.
struct DeviceMemory {
  int64_t allocated, reserved;
};
std::optional<DeviceMemory> device_memory(c10::Device device);

// Instruction set that LibTorch's CPU kernels were dispatched to, for bug reports.
std::string cpu_capability();

}  // namespace sam3
