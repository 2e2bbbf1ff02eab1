#include "network/device.h"

#include <ATen/Version.h>
#include <c10/core/CachingDeviceAllocator.h>
#include <c10/core/DeviceType.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>
#include <torch/version.h>

#include "core/error.h"

// The allocator interface that is the same for every kind of GPU came with 2.9; before it only a CUDA header could do
// this.
#define SAM3_HAS_DEVICE_ALLOCATOR (TORCH_VERSION_MAJOR > 2 || TORCH_VERSION_MINOR >= 9)

namespace sam3 {
namespace {

// The device guard is how ATen itself reaches a backend, so no CUDA header is needed: it is registered when the CUDA
// libraries of LibTorch are loaded, and counts 0 where there is no driver.
int cuda_device_count() {
  if (!c10::impl::hasDeviceGuardImpl(c10::DeviceType::CUDA)) return 0;
  return c10::impl::getDeviceGuardImpl(c10::DeviceType::CUDA)->deviceCount();
}

bool cpu_has_bf16() {
#if defined(__x86_64__) && defined(__GNUC__)
  return __builtin_cpu_supports("avx512bf16");  // every CPU with AMX has it too
#else
  return false;
#endif
}

// A backend that someone else has registered with LibTorch under this name: LibTorch has room for one.
bool is_foreign_backend(const std::string& name) {
  return c10::is_privateuse1_backend_registered() && name == c10::get_privateuse1_backend();
}

c10::Device resolve_device(const std::string& name) {
  if (is_foreign_backend(name)) return c10::Device(c10::DeviceType::PrivateUse1, 0);
  const int gpus = cuda_device_count();
  if (name == "cpu" || (name == "auto" && gpus == 0)) return c10::Device(c10::kCPU);
  if (name == "auto") return c10::Device(c10::DeviceType::CUDA, 0);
  const bool plain = name == "cuda";
  int index = 0;
  if (!plain) {
    const std::string digits = name.rfind("cuda:", 0) == 0 ? name.substr(5) : "";
    if (digits.empty() || digits.size() > 3 || digits.find_first_not_of("0123456789") != std::string::npos)
      throw Error(ERR_DEVICE_UNAVAILABLE, "Unknown device '" + name + "'.", "Use 'cpu', 'cuda', 'cuda:N' or 'auto'.");
    index = std::stoi(digits);
  }
  if (gpus == 0)
    throw Error(ERR_DEVICE_UNAVAILABLE, "Device '" + name + "' was asked for, but this LibTorch sees no CUDA GPU.",
                "Check that the NVIDIA driver works (nvidia-smi) and that LibTorch is a CUDA build, or use device "
                "'cpu' or 'auto'.");
  if (index >= gpus)
    throw Error(ERR_DEVICE_UNAVAILABLE, "Device '" + name + "' was asked for, but there are only " +
                                            std::to_string(gpus) +
                                            " GPUs: 'cuda:0' to 'cuda:" + std::to_string(gpus - 1) + "'.");
  return c10::Device(c10::DeviceType::CUDA, static_cast<c10::DeviceIndex>(index));
}

}  // namespace

Target resolve_target(const std::string& device_name, const std::string& dtype_text) {
  const c10::Device device = resolve_device(device_name);
  if (dtype_text == "float32") return {device, at::kFloat};
  if (dtype_text == "bfloat16") return {device, at::kBFloat16};
  if (dtype_text == "float16") return {device, at::kHalf};
  if (dtype_text != "auto")
    throw Error(ERR_INVALID_DTYPE, "Unknown dtype '" + dtype_text + "'.",
                "Use 'float32', 'bfloat16', 'float16' or 'auto'.");
  return {device, !device.is_cpu() || cpu_has_bf16() ? at::kBFloat16 : at::kFloat};
}

std::vector<std::string> available_devices() {
  std::vector<std::string> names{"cpu"};
  for (int i = 0; i < cuda_device_count(); i++) names.push_back("cuda:" + std::to_string(i));
  return names;
}

std::string dtype_name(c10::ScalarType dtype) {
  switch (dtype) {
    case at::kFloat: return "float32";
    case at::kBFloat16: return "bfloat16";
    case at::kHalf: return "float16";
    default: return c10::toString(dtype);
  }
}

void release_cached_memory([[maybe_unused]] c10::Device device) {
#if SAM3_HAS_DEVICE_ALLOCATOR
  if (!device.is_cpu()) c10::getDeviceAllocator(device.type())->emptyCache();
#endif
}

int64_t free_device_memory([[maybe_unused]] c10::Device device) {
#if SAM3_HAS_DEVICE_ALLOCATOR
  if (!device.is_cpu())
    return static_cast<int64_t>(c10::getDeviceAllocator(device.type())->getMemoryInfo(device.index()).first);
#endif
  return 0;
}

std::optional<DeviceMemory> device_memory([[maybe_unused]] c10::Device device) {
#if SAM3_HAS_DEVICE_ALLOCATOR
  if (device.is_cpu()) return std::nullopt;
  try {
    const auto stats = c10::getDeviceAllocator(device.type())->getDeviceStats(device.index());
    constexpr auto kAll = static_cast<size_t>(c10::CachingAllocator::StatType::AGGREGATE);
    return DeviceMemory{stats.allocated_bytes[kAll].current, stats.reserved_bytes[kAll].current};
  } catch (const std::exception&) {  // the device failed: whoever asks it for work learns it
  }
#endif
  return std::nullopt;
}

std::string cpu_capability() {
  return at::get_cpu_capability();
}

}  // namespace sam3
