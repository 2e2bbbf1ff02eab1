// The native file that Node loads first. It needs nothing but libc, so it loads everywhere and can say what is missing:
// it opens LibTorch from wherever the user has it (the engine's needs are then met by SONAME, without any search path),
// and asks the NVIDIA driver, if there is one, which GPUs exist, without a CUDA toolkit and without LibTorch.
#include <dlfcn.h>
#include <node_api.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// The driver API's names, types and numbers as <cuda.h> has them; none of them has changed since CUDA 3.2.
typedef int CudaResult;  // 0 = success
typedef int CudaDevice;
enum { kComputeCapabilityMajor = 75, kComputeCapabilityMinor = 76, kDeviceNameBytes = 256 };

typedef struct {
  CudaResult (*init)(unsigned flags);
  CudaResult (*driver_version)(int* version);
  CudaResult (*device_count)(int* count);
  CudaResult (*device_get)(CudaDevice* device, int ordinal);
  CudaResult (*device_name)(char* name, int bytes, CudaDevice device);
  CudaResult (*device_memory)(size_t* bytes, CudaDevice device);
  CudaResult (*device_attribute)(int* value, int attribute, CudaDevice device);
} CudaDriver;

// dlsym hands functions back as data pointers; ISO C has no cast between the two, POSIX says the copy is valid.
static int symbol(void* library, const char* name, void* function) {
  void* address = dlsym(library, name);
  memcpy(function, &address, sizeof address);
  return address != NULL;
}

// The handle stays open for good: libcuda keeps threads and state behind cuInit and must not be unmapped.
static int open_driver(CudaDriver* cuda) {
  void* library = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
  return library && symbol(library, "cuInit", &cuda->init) &&
         symbol(library, "cuDriverGetVersion", &cuda->driver_version) &&
         symbol(library, "cuDeviceGetCount", &cuda->device_count) &&
         symbol(library, "cuDeviceGet", &cuda->device_get) && symbol(library, "cuDeviceGetName", &cuda->device_name) &&
         symbol(library, "cuDeviceTotalMem_v2", &cuda->device_memory) &&
         symbol(library, "cuDeviceGetAttribute", &cuda->device_attribute);
}

static void set_string(napi_env env, napi_value object, const char* key, const char* text) {
  napi_value value;
  if (napi_create_string_utf8(env, text, NAPI_AUTO_LENGTH, &value) == napi_ok)
    napi_set_named_property(env, object, key, value);
}

static napi_value throw_open_error(napi_env env, const char* path) {
  const char* cause = dlerror();
  if (!cause) cause = "unknown error of the dynamic linker";
  const char* const format = "%s could not be loaded: %s.";
  size_t bytes = strlen(format) + strlen(path) + strlen(cause) + 1;
  char* message = malloc(bytes);
  if (message) snprintf(message, bytes, format, path, cause);
  napi_value code, text, error;
  const int made = napi_create_string_utf8(env, "ERR_LIBTORCH_LOAD", NAPI_AUTO_LENGTH, &code) == napi_ok &&
                   napi_create_string_utf8(env, message ? message : cause, NAPI_AUTO_LENGTH, &text) == napi_ok &&
                   napi_create_error(env, code, text, &error) == napi_ok;
  free(message);
  if (!made) return NULL;
  set_string(
      env, error, "fix",
      "Point LIBTORCH at the folder (with include/ and lib/) of a complete LibTorch made for this system and this "
      "version of sam3-node.");
  napi_throw(env, error);
  return NULL;
}

// open(path): loads the shared library at this absolute path into the process, for good.
static napi_value open_library(napi_env env, napi_callback_info info) {
  size_t argc = 1, length = 0;
  napi_value argument;
  napi_valuetype type = napi_undefined;
  if (napi_get_cb_info(env, info, &argc, &argument, NULL, NULL) != napi_ok) return NULL;
  if (argc >= 1) napi_typeof(env, argument, &type);
  if (type != napi_string) {
    napi_throw_type_error(env, "ERR_INVALID_ARGUMENT", "open(path) needs the absolute path of a shared library.");
    return NULL;
  }
  napi_get_value_string_utf8(env, argument, NULL, 0, &length);
  char* path = malloc(length + 1);
  if (!path) {
    napi_throw_error(env, "ERR_OUT_OF_MEMORY", "The host's memory is exhausted.");
    return NULL;
  }
  napi_get_value_string_utf8(env, argument, path, length + 1, &length);
  // OpenMP's threads spin for the next piece of work by default, on cores that Node's event loop and everyone else on
  // the machine want as well. OpenMP reads this when it is loaded, so it must be said before; what the user has set,
  // holds.
  setenv("OMP_WAIT_POLICY", "PASSIVE", 0);
  if (path[0] != '/' || strlen(path) != length) {
    // A bare name would be looked up in the system's folders: another LibTorch than the one that was chosen.
    napi_throw_type_error(env, "ERR_INVALID_ARGUMENT", "open(path) needs the absolute path of a shared library.");
  } else if (!dlopen(path, RTLD_NOW | RTLD_LOCAL)) {
    throw_open_error(env, path);
  }
  free(path);
  return NULL;
}

// One GPU as {name, memory (bytes), capability ("9.0")}, or NULL where the driver does not answer for it.
static napi_value describe_device(napi_env env, const CudaDriver* cuda, int ordinal) {
  CudaDevice device;
  char name[kDeviceNameBytes], capability[32];
  size_t bytes;
  int major, minor;
  napi_value result, memory;
  if (cuda->device_get(&device, ordinal) || cuda->device_name(name, sizeof name, device) ||
      cuda->device_memory(&bytes, device) || cuda->device_attribute(&major, kComputeCapabilityMajor, device) ||
      cuda->device_attribute(&minor, kComputeCapabilityMinor, device))
    return NULL;
  name[sizeof name - 1] = '\0';
  snprintf(capability, sizeof capability, "%d.%d", major, minor);
  if (napi_create_object(env, &result) != napi_ok || napi_create_double(env, (double)bytes, &memory) != napi_ok)
    return NULL;
  set_string(env, result, "name", name);
  napi_set_named_property(env, result, "memory", memory);
  set_string(env, result, "capability", capability);
  return result;
}

// probeGpu(): {driver: the newest CUDA version that the driver serves ("12.6") or null without a driver, devices:
// [...]}.
static napi_value probe_gpu(napi_env env, napi_callback_info info) {
  (void)info;
  napi_value result, driver, devices;
  if (napi_create_object(env, &result) != napi_ok || napi_get_null(env, &driver) != napi_ok ||
      napi_create_array(env, &devices) != napi_ok)
    return NULL;
  napi_set_named_property(env, result, "driver", driver);
  napi_set_named_property(env, result, "devices", devices);

  CudaDriver cuda;
  int version, count;
  if (!open_driver(&cuda) || cuda.driver_version(&version)) return result;
  char text[32];
  snprintf(text, sizeof text, "%d.%d", version / 1000, version % 1000 / 10);
  set_string(env, result, "driver", text);

  if (cuda.init(0) || cuda.device_count(&count)) return result;  // a driver, but no GPU that it can use
  uint32_t found = 0;
  for (int i = 0; i < count; i++) {
    napi_value device = describe_device(env, &cuda, i);
    if (device) napi_set_element(env, devices, found++, device);
  }
  return result;
}

static void set_function(napi_env env, napi_value exports, const char* name, napi_callback callback) {
  napi_value function;
  if (napi_create_function(env, name, NAPI_AUTO_LENGTH, callback, NULL, &function) == napi_ok)
    napi_set_named_property(env, exports, name, function);
}

NAPI_MODULE_INIT() {
  set_function(env, exports, "open", open_library);
  set_function(env, exports, "probeGpu", probe_gpu);
  return exports;
}
