// The engine as Node loads it: process.dlopen after the loader has opened LibTorch.
#include <ATen/Parallel.h>
#include <napi.h>
#include <torch/version.h>

#include "convert.h"
#include "environment.h"
#include "kernels/fused_operators.h"
#include "model.h"
#include "network/device.h"
#include "session.h"
#include "video_convert.h"
#include "weights.h"

namespace binding {
namespace {

Napi::Value info(const Napi::CallbackInfo& call) {
  const Napi::Env env = call.Env();
  const auto devices = sam3::available_devices();
  auto names = Napi::Array::New(env, devices.size());
  for (uint32_t i = 0; i < devices.size(); i++) names[i] = devices[i];
  auto out = Napi::Object::New(env);
  out.Set("torch", TORCH_VERSION);
  out.Set("cuda", devices.size() > 1);
  out.Set("devices", names);
  out.Set("cpuCapability", sam3::cpu_capability());
  out.Set("threads", at::get_num_threads());
  return out;
}

// Of every GPU, why the engine's own kernels are not used there with the dtype 'auto'; empty where they are. Compiles
// them.
Napi::Value kernels(const Napi::CallbackInfo& call) {
  auto out = Napi::Object::New(call.Env());
  for (const std::string& device : sam3::available_devices())
    if (device != "cpu") {
      const auto target = sam3::resolve_target(device, "auto");
      out.Set(device, sam3::kernels::prepare(target.device, target.dtype));
    }
  return out;
}

Napi::Array error_codes(Napi::Env env) {
  auto names = Napi::Array::New(env, sam3::kErrorCodeNames.size());
  for (uint32_t i = 0; i < names.Length(); i++) names[i] = sam3::kErrorCodeNames[i];
  return names;
}

void stop(const Napi::CallbackInfo& call) {
  Environment::of(call.Env()).stop_all();
}

Napi::Object init(Napi::Env env, Napi::Object exports) {
  auto* environment = new Environment(env);
  env.SetInstanceData(environment);
  const Napi::Function model = Model::define(env), image = Image::define(env), token = CancelToken::define(env),
                       session = Session::define(env);
  environment->model_class = Napi::Persistent(model);
  environment->image_class = Napi::Persistent(image);
  environment->token_class = Napi::Persistent(token);
  environment->session_class = Napi::Persistent(session);
  exports.Set("CancelToken", token);
  exports.Set("errorCodes", error_codes(env));
  exports.Set("videoOptions", option_list(env));
  exports.Set("info", Napi::Function::New(env, info));
  exports.Set("kernels", Napi::Function::New(env, kernels));
  exports.Set("load", Napi::Function::New(env, Model::load));
  exports.Set("inspectWeights", Napi::Function::New(env, inspect_weights));
  exports.Set("stop", Napi::Function::New(env, stop));
  return exports;
}

}  // namespace
}  // namespace binding

static Napi::Object InitAddon(Napi::Env env, Napi::Object exports) {
  return binding::init(env, exports);
}
NODE_API_MODULE(sam3_engine, InitAddon)
