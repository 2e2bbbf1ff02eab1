#include "kernels/fused_operators.h"

#include <ATen/ATen.h>
#include <c10/core/DeviceGuard.h>
#include <c10/core/InferenceMode.h>
#include <torch/library.h>

#include <map>
#include <mutex>
#include <tuple>
#include <utility>

#include "kernels/device_kernels.h"
#include "kernels/launch.h"

namespace sam3::kernels {
namespace {

at::Tensor plain_apply_rope(at::Tensor x, const at::Tensor& rope) {
  const at::Tensor pairs = x.to(at::kFloat).unflatten(-1, {x.size(-1) / 2, 2});
  x.copy_(at::view_as_real(at::view_as_complex(pairs) * rope).flatten(-2));
  return x;
}

at::Tensor plain_norm_of_sum(const at::Tensor& x, const at::Tensor& shift, const at::Tensor& weight,
                             const at::Tensor& bias, double eps) {
  return at::layer_norm(x + shift, weight.sizes(), weight, bias, eps);
}

// By value, as the dispatcher wants one signature of all forms.
// NOLINTNEXTLINE(performance-unnecessary-value-param)
at::Tensor plain_relu_of_norm(at::Tensor x, const at::Tensor& other, const at::Tensor& index, const at::Tensor& weight,
                              const at::Tensor& bias, int64_t groups, double eps) {
  x.add_(other.index_select(0, index));
  return x.copy_(at::group_norm(x, groups, weight, bias, eps).relu_());
}

// NOLINTNEXTLINE(performance-unnecessary-value-param)
at::Tensor plain_relu_of_shifted_norm(at::Tensor x, const at::Tensor& shift, const at::Tensor& weight,
                                      const at::Tensor& bias, int64_t groups, double eps) {
  x.add_(shift.view({1, -1, 1, 1}));
  return x.copy_(at::group_norm(x, groups, weight, bias, eps).relu_());
}

at::Tensor plain_layer_norm(const at::Tensor& x, c10::IntArrayRef shape, const std::optional<at::Tensor>& weight,
                            const std::optional<at::Tensor>& bias, double eps) {
  return at::layer_norm(x, shape, weight, bias, eps);
}

// The form of GELU that a product can apply to what it writes.
at::Tensor plain_linear_gelu(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias) {
  return at::gelu(at::linear(x, weight, bias), "tanh");
}

// No kernel of ours: LibTorch has the product, and no function of its own that asks for it.
at::Tensor cuda_linear_gelu(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias) {
  const c10::DeviceGuard guard(x.device());
  auto size = x.sizes().vec();
  size.back() = weight.size(0);
  const at::Tensor rows = x.reshape({-1, x.size(-1)});
  return at::_addmm_activation(bias, rows, weight.t(), 1, 1, /*use_gelu=*/true).view(size);
}

at::Tensor cuda_apply_rope(at::Tensor x, const at::Tensor& rope) {
  const c10::DeviceGuard guard(x.device());
  const DeviceKernels* kernels = DeviceKernels::of(x.device(), x.scalar_type());
  if (kernels && launch_apply_rope(kernels->launcher(), x, rope)) return x;
  return plain_apply_rope(std::move(x), rope);
}

at::Tensor cuda_norm_of_sum(const at::Tensor& x, const at::Tensor& shift, const at::Tensor& weight,
                            const at::Tensor& bias, double eps) {
  const c10::DeviceGuard guard(x.device());
  if (const DeviceKernels* kernels = DeviceKernels::of(x.device(), x.scalar_type())) {
    at::Tensor out = at::empty(x.sizes(), x.options());
    if (launch_norm_of_sum(kernels->launcher(), out, x, shift, weight, bias, eps)) return out;
  }
  return plain_norm_of_sum(x, shift, weight, bias, eps);
}

at::Tensor cuda_relu_of_norm(at::Tensor x, const at::Tensor& other, const at::Tensor& index, const at::Tensor& weight,
                             const at::Tensor& bias, int64_t groups, double eps) {
  const c10::DeviceGuard guard(x.device());
  const DeviceKernels* kernels = DeviceKernels::of(x.device(), x.scalar_type());
  if (kernels && launch_relu_of_norm(kernels->launcher(), x, other, index, weight, bias, groups, eps)) return x;
  return plain_relu_of_norm(std::move(x), other, index, weight, bias, groups, eps);
}

at::Tensor cuda_relu_of_shifted_norm(at::Tensor x, const at::Tensor& shift, const at::Tensor& weight,
                                     const at::Tensor& bias, int64_t groups, double eps) {
  const c10::DeviceGuard guard(x.device());
  const DeviceKernels* kernels = DeviceKernels::of(x.device(), x.scalar_type());
  if (kernels && launch_relu_of_shifted_norm(kernels->launcher(), x, shift, weight, bias, groups, eps)) return x;
  return plain_relu_of_shifted_norm(std::move(x), shift, weight, bias, groups, eps);
}

at::Tensor cuda_layer_norm(const at::Tensor& x, c10::IntArrayRef shape, const std::optional<at::Tensor>& weight,
                           const std::optional<at::Tensor>& bias, double eps) {
  const c10::DeviceGuard guard(x.device());
  const DeviceKernels* kernels = DeviceKernels::of(x.device(), x.scalar_type());
  if (kernels && shape.size() == 1 && weight && bias) {
    const at::Tensor rows = x.contiguous();
    at::Tensor out = at::empty(x.sizes(), x.options());
    if (launch_layer_norm(kernels->launcher(), out, rows, *weight, *bias, eps)) return out;
  }
  return plain_layer_norm(x, shape, weight, bias, eps);
}

at::Tensor shape_linear_gelu(const at::Tensor& x, const at::Tensor& weight, const at::Tensor&) {
  auto size = x.sizes().vec();
  size.back() = weight.size(0);
  return at::empty(size, x.options());
}

at::Tensor shape_relu_of_shifted_norm(at::Tensor x, const at::Tensor&, const at::Tensor&, const at::Tensor&, int64_t,
                                      double) {
  return x;
}

at::Tensor shape_layer_norm(const at::Tensor& x, c10::IntArrayRef, const std::optional<at::Tensor>&,
                            const std::optional<at::Tensor>&, double) {
  return at::empty(x.sizes(), x.options());
}

at::Tensor shape_relu_of_norm(at::Tensor x, const at::Tensor&, const at::Tensor&, const at::Tensor&, const at::Tensor&,
                              int64_t, double) {
  return x;
}

at::Tensor shape_apply_rope(at::Tensor x, const at::Tensor&) {
  return x;
}

at::Tensor shape_norm_of_sum(const at::Tensor& x, const at::Tensor&, const at::Tensor&, const at::Tensor&, double) {
  return at::empty(x.sizes(), x.options());
}

}  // namespace

void register_operators() {
  static std::once_flag once;
  std::call_once(once, [] {
    // Another copy of this library may have been there first.
    if (c10::Dispatcher::singleton().findSchema({"sam3::apply_rope", ""})) return;
    // Kept for good: LibTorch may be gone before what is destroyed at the end.
    static auto* const library = new torch::Library(torch::Library::FRAGMENT, "sam3", std::nullopt, __FILE__, __LINE__);
    library->def("apply_rope(Tensor(a!) x, Tensor rope) -> Tensor(a!)");
    library->def("norm_of_sum(Tensor x, Tensor shift, Tensor weight, Tensor bias, float eps) -> Tensor");
    library->def(
        "relu_of_norm(Tensor(a!) x, Tensor other, Tensor index, Tensor weight, Tensor bias, int groups, float eps) -> "
        "Tensor(a!)");
    library->def(
        "relu_of_shifted_norm(Tensor(a!) x, Tensor shift, Tensor weight, Tensor bias, int groups, float eps) -> "
        "Tensor(a!)");
    library->def("layer_norm(Tensor x, int[] shape, Tensor? weight, Tensor? bias, float eps) -> Tensor");
    library->def("linear_gelu(Tensor x, Tensor weight, Tensor bias) -> Tensor");
    library->impl("linear_gelu", torch::dispatch(c10::DispatchKey::CPU, TORCH_FN(plain_linear_gelu)));
    library->impl("linear_gelu", torch::dispatch(c10::DispatchKey::Meta, TORCH_FN(shape_linear_gelu)));
    library->impl("linear_gelu", torch::dispatch(c10::DispatchKey::CUDA, TORCH_FN(cuda_linear_gelu)));
    library->impl("relu_of_shifted_norm", torch::dispatch(c10::DispatchKey::CPU, TORCH_FN(plain_relu_of_shifted_norm)));
    library->impl("relu_of_shifted_norm",
                  torch::dispatch(c10::DispatchKey::Meta, TORCH_FN(shape_relu_of_shifted_norm)));
    library->impl("relu_of_shifted_norm", torch::dispatch(c10::DispatchKey::CUDA, TORCH_FN(cuda_relu_of_shifted_norm)));
    library->impl("layer_norm", torch::dispatch(c10::DispatchKey::CPU, TORCH_FN(plain_layer_norm)));
    library->impl("layer_norm", torch::dispatch(c10::DispatchKey::Meta, TORCH_FN(shape_layer_norm)));
    library->impl("layer_norm", torch::dispatch(c10::DispatchKey::CUDA, TORCH_FN(cuda_layer_norm)));
    library->impl("relu_of_norm", torch::dispatch(c10::DispatchKey::CPU, TORCH_FN(plain_relu_of_norm)));
    library->impl("relu_of_norm", torch::dispatch(c10::DispatchKey::Meta, TORCH_FN(shape_relu_of_norm)));
    library->impl("relu_of_norm", torch::dispatch(c10::DispatchKey::CUDA, TORCH_FN(cuda_relu_of_norm)));
    library->impl("apply_rope", torch::dispatch(c10::DispatchKey::CPU, TORCH_FN(plain_apply_rope)));
    library->impl("norm_of_sum", torch::dispatch(c10::DispatchKey::CPU, TORCH_FN(plain_norm_of_sum)));
    library->impl("apply_rope", torch::dispatch(c10::DispatchKey::Meta, TORCH_FN(shape_apply_rope)));
    library->impl("norm_of_sum", torch::dispatch(c10::DispatchKey::Meta, TORCH_FN(shape_norm_of_sum)));
    library->impl("apply_rope", torch::dispatch(c10::DispatchKey::CUDA, TORCH_FN(cuda_apply_rope)));
    library->impl("norm_of_sum", torch::dispatch(c10::DispatchKey::CUDA, TORCH_FN(cuda_norm_of_sum)));
  });
}

std::string compare_operators(c10::Device device, c10::ScalarType dtype) {
  const c10::InferenceMode guard;
  auto& dispatcher = c10::Dispatcher::singleton();
  const auto rope_operator =
      dispatcher.findSchemaOrThrow("sam3::apply_rope", "").typed<at::Tensor(at::Tensor, const at::Tensor&)>();
  const auto norm_operator =
      dispatcher.findSchemaOrThrow("sam3::norm_of_sum", "")
          .typed<at::Tensor(const at::Tensor&, const at::Tensor&, const at::Tensor&, const at::Tensor&, double)>();
  auto generator = at::make_generator<at::CPUGeneratorImpl>(1);
  const auto random = [&](std::initializer_list<int64_t> size, c10::ScalarType type) {
    return at::randn(c10::IntArrayRef(size), generator, at::TensorOptions(type)).to(device);
  };
  const auto difference = [&](const at::Tensor& ours, const at::Tensor& theirs) {
    const at::Tensor a = ours.cpu().to(at::kFloat), b = theirs.cpu().to(at::kFloat);
    return ((a - b).abs() / b.abs().clamp_min(1.0)).max().item<double>();
  };
  // Two roundings to the dtype.
  const double allowed = dtype == at::kFloat ? 1e-5 : dtype == at::kHalf ? 0x1p-9 : 0x1p-6;
  const auto worse = [&](double found) { return !(found <= allowed); };  // also where it is no number

  // As in the image encoder: queries and keys of 3 windows among their values.
  const at::Tensor qkv = random({3, 25, 3, 2, 64}, at::kFloat).to(dtype);
  const at::Tensor table = at::polar(at::ones({25, 1, 1, 32}), at::randn({25, 1, 1, 32}, generator)).to(device);
  const at::Tensor mine = qkv.clone(), theirs = qkv.clone();
  rope_operator.call(mine.narrow(2, 0, 2), table);
  plain_apply_rope(theirs.narrow(2, 0, 2), table);
  if (const double off = difference(mine, theirs); worse(off))
    return "apply_rope differs by " + std::to_string(off) + " from LibTorch's operators";
  for (const int64_t width : {72, 256, 512, 1024}) {
    const at::Tensor x = random({37, width}, at::kFloat).to(dtype), shift = random({width}, at::kFloat).to(dtype),
                     weight = random({width}, at::kFloat).to(dtype), bias = random({width}, at::kFloat).to(dtype);
    const double off = difference(
        norm_operator.call(x, shift, weight, bias, 1e-5),
        plain_norm_of_sum(x.to(at::kFloat), shift.to(at::kFloat), weight.to(at::kFloat), bias.to(at::kFloat), 1e-5));
    if (worse(off)) return "norm_of_sum differs by " + std::to_string(off) + " from LibTorch's operators";
  }
  // As in the pixel decoder: 3 prompts of 2 images.
  const auto relu_operator = dispatcher.findSchemaOrThrow("sam3::relu_of_norm", "")
                                 .typed<at::Tensor(at::Tensor, const at::Tensor&, const at::Tensor&, const at::Tensor&,
                                                   const at::Tensor&, int64_t, double)>();
  const at::Tensor map = random({3, 13, 11, 256}, at::kFloat).to(dtype).permute({0, 3, 1, 2}),
                   other = random({2, 13, 11, 256}, at::kFloat).to(dtype).permute({0, 3, 1, 2}),
                   index = at::tensor({1, 0, 1}, at::kLong).to(device), weight = random({256}, at::kFloat).to(dtype),
                   bias = random({256}, at::kFloat).to(dtype);
  const double off = difference(relu_operator.call(map.clone(), other, index, weight, bias, 8, 1e-5),
                                plain_relu_of_norm(map.to(at::kFloat).clone(), other.to(at::kFloat), index,
                                                   weight.to(at::kFloat), bias.to(at::kFloat), 8, 1e-5));
  if (worse(off)) return "relu_of_norm differs by " + std::to_string(off) + " from LibTorch's operators";
  const auto shifted_operator =
      dispatcher.findSchemaOrThrow("sam3::relu_of_shifted_norm", "")
          .typed<at::Tensor(at::Tensor, const at::Tensor&, const at::Tensor&, const at::Tensor&, int64_t, double)>();
  const at::Tensor shift = random({256}, at::kFloat).to(dtype);
  if (const double its = difference(shifted_operator.call(map.clone(), shift, weight, bias, 8, 1e-5),
                                    plain_relu_of_shifted_norm(map.to(at::kFloat).clone(), shift.to(at::kFloat),
                                                               weight.to(at::kFloat), bias.to(at::kFloat), 8, 1e-5));
      worse(its))
    return "relu_of_shifted_norm differs by " + std::to_string(its) + " from LibTorch's operators";
  const auto plain_norm_operator =
      dispatcher.findSchemaOrThrow("sam3::layer_norm", "")
          .typed<at::Tensor(const at::Tensor&, c10::IntArrayRef, const std::optional<at::Tensor>&,
                            const std::optional<at::Tensor>&, double)>();
  // As in the memory encoder, whose maps have few channels, and in the transformers.
  for (const int64_t width : {4, 8, 16, 32, 64, 256, 1024}) {
    const at::Tensor x = random({37, width}, at::kFloat).to(dtype), scales = random({width}, at::kFloat).to(dtype),
                     offsets = random({width}, at::kFloat).to(dtype);
    const double its =
        difference(plain_norm_operator.call(x, {width}, scales, offsets, 1e-6),
                   plain_layer_norm(x.to(at::kFloat), {width}, scales.to(at::kFloat), offsets.to(at::kFloat), 1e-6));
    if (worse(its)) return "layer_norm differs by " + std::to_string(its) + " from LibTorch's operators";
  }
  // Programs keep the exact GELU in float32 (network/own_kernels.cc): what is not used there must not cost the others.
  if (dtype == at::kFloat) return "";
  const auto gelu_operator = dispatcher.findSchemaOrThrow("sam3::linear_gelu", "")
                                 .typed<at::Tensor(const at::Tensor&, const at::Tensor&, const at::Tensor&)>();
  const at::Tensor tokens = random({3, 37, 64}, at::kFloat).to(dtype),
                   matrix = (random({256, 64}, at::kFloat) / 8).to(dtype);
  if (const double its =
          difference(gelu_operator.call(tokens, matrix, bias),
                     plain_linear_gelu(tokens.to(at::kFloat), matrix.to(at::kFloat), bias.to(at::kFloat)));
      worse(its))
    return "linear_gelu differs by " + std::to_string(its) + " from LibTorch's operators";
  return "";
}

std::string prepare(c10::Device device, c10::ScalarType dtype) {
  static std::mutex mutex;
  static std::map<std::tuple<c10::DeviceType, c10::DeviceIndex, c10::ScalarType>, std::string> known;
  const std::lock_guard lock(mutex);
  const auto [found, is_new] = known.try_emplace({device.type(), device.index(), dtype});
  std::string& why = found->second;
  if (!is_new) return why;
  try {
    register_operators();
    if (device.is_cuda())
      why = DeviceKernels::make(device, dtype);
    else if (!device.is_privateuseone() || !c10::Dispatcher::singleton()
                                                .findSchemaOrThrow("sam3::apply_rope", "")
                                                .hasKernelForDispatchKey(c10::DispatchKey::PrivateUse1))
      why = "there are none for this kind of device";
    if (why.empty()) why = compare_operators(device, dtype);
  } catch (const std::exception& error) {
    why = std::string("they failed: ") + error.what();
    why = why.substr(0, why.find('\n'));
  }
  return why;
}

}  // namespace sam3::kernels
