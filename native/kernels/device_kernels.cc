#include "kernels/device_kernels.h"

#include <c10/core/DeviceGuard.h>
#include <c10/core/impl/VirtualGuardImpl.h>
#include <c10/util/Exception.h>

#include <map>
#include <memory>
#include <mutex>

#include "kernels/kernel_source.h"
#include "kernels/nvrtc.h"
#include "kernels/symbols.h"

namespace sam3::kernels {
namespace {

// The driver API as <cuda.h> has it; 0 is success.
struct Driver {
  int (*init)(unsigned) = nullptr;
  int (*device_get)(int*, int) = nullptr;
  int (*device_attribute)(int*, int, int) = nullptr;
  int (*context_retain)(void**, int) = nullptr;
  int (*context_get)(void**) = nullptr, (*context_set)(void*) = nullptr;
  int (*module_load)(void**, const void*) = nullptr;
  int (*module_function)(void**, void*, const char*) = nullptr;
  int (*launch)(void*, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, void*, void**,
                void**) = nullptr;
  int (*error_name)(int, const char**) = nullptr;

  bool open() {
    void* library = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
    return library && find_symbol(library, "cuInit", init) && find_symbol(library, "cuDeviceGet", device_get) &&
           find_symbol(library, "cuDeviceGetAttribute", device_attribute) &&
           find_symbol(library, "cuDevicePrimaryCtxRetain", context_retain) &&
           find_symbol(library, "cuCtxGetCurrent", context_get) &&
           find_symbol(library, "cuCtxSetCurrent", context_set) &&
           find_symbol(library, "cuModuleLoadData", module_load) &&
           find_symbol(library, "cuModuleGetFunction", module_function) &&
           find_symbol(library, "cuLaunchKernel", launch) && find_symbol(library, "cuGetErrorName", error_name) &&
           init(0) == 0;
  }

  std::string name_of(int error) const {
    const char* name = nullptr;
    return error_name(error, &name) == 0 && name ? name : "error " + std::to_string(error);
  }
};

constexpr int kMajor = 75, kMinor = 76;  // attributes: the compute capability

// The context that LibTorch uses, on this thread.
std::string enter_context(const Driver& driver, int device) {
  void* context = nullptr;
  if (driver.context_get(&context) == 0 && context) return "";
  int error = driver.context_retain(&context, device);  // for good, as LibTorch does
  if (error == 0) error = driver.context_set(context);
  return error == 0 ? "" : "the device's context: " + driver.name_of(error);
}

const char* macro_of(c10::ScalarType dtype) {
  switch (dtype) {
    case at::kFloat: return "-DSAM3_FLOAT32";
    case at::kBFloat16: return "-DSAM3_BFLOAT16";
    case at::kHalf: return "-DSAM3_FLOAT16";
    default: return nullptr;
  }
}

using Key = std::pair<c10::DeviceIndex, c10::ScalarType>;

std::mutex& mutex() {
  static std::mutex one;
  return one;
}

std::map<Key, std::unique_ptr<DeviceKernels>>& all() {
  static auto* kernels = new std::map<Key, std::unique_ptr<DeviceKernels>>;  // the driver may be gone at the end
  return *kernels;
}

}  // namespace

std::string DeviceKernels::make(c10::Device device, c10::ScalarType dtype) {
  const char* macro = macro_of(dtype);
  if (!macro) return "there are none for this dtype";
  Driver driver;
  if (!driver.open()) return "the NVIDIA driver (libcuda.so.1) cannot be used";
  std::string why;
  const auto nvrtc = Nvrtc::find(why);
  if (!nvrtc) return why;

  const c10::DeviceGuard guard(device);
  int ordinal = 0, major = 0, minor = 0;
  if (driver.device_get(&ordinal, device.index()) || driver.device_attribute(&major, kMajor, ordinal) ||
      driver.device_attribute(&minor, kMinor, ordinal))
    return "the NVIDIA driver does not know the device";
  if (why = enter_context(driver, ordinal); !why.empty()) return why;

  // Machine code; for a GPU that is newer than the compiler, PTX that the driver translates.
  void* module = nullptr;
  for (const std::string& architecture : {"sm_" + std::to_string(10 * major + minor), std::string("compute_80")}) {
    const Nvrtc::Result compiled = nvrtc->compile(kKernelSource, architecture, {macro});
    if (compiled.code.empty()) {
      why = nvrtc->path() + " does not compile them for " + architecture + ": " + compiled.log;
      continue;
    }
    const int error = driver.module_load(&module, compiled.code.data());
    if (error == 0) break;
    module = nullptr;
    why = "the NVIDIA driver does not load them for " + architecture + ": " + driver.name_of(error);
  }
  if (!module) return why;

  std::map<std::string, void*> functions;
  for (const std::string& name : kernel_names(dtype))
    if (const int error = driver.module_function(&functions[name], module, name.c_str()))
      return name + ": " + driver.name_of(error);
  auto kernels = std::make_unique<DeviceKernels>();
  kernels->launcher_ = [driver, functions](const char* name, unsigned blocks, unsigned threads, void** arguments) {
    const int error = driver.launch(functions.at(name), blocks, 1, 1, threads, 1, 1, 0, nullptr, arguments, nullptr);
    TORCH_CHECK(error == 0, "CUDA error: ", name, ": ", driver.name_of(error));
  };
  const std::lock_guard lock(mutex());
  all()[{device.index(), dtype}] = std::move(kernels);
  return "";
}

const DeviceKernels* DeviceKernels::of(c10::Device device, c10::ScalarType dtype) {
  if (c10::impl::VirtualGuardImpl(device.type()).getStream(device).id() != 0) return nullptr;
  const std::lock_guard lock(mutex());
  const auto found = all().find({device.index(), dtype});
  return found == all().end() ? nullptr : found->second.get();
}

}  // namespace sam3::kernels
