// Operators by way of the CPU's kernels.
#include "standin/operators.h"

#include <ATen/ATen.h>
#include <ATen/EmptyTensor.h>

#include <algorithm>
#include <cstring>
#include <functional>
#include <map>
#include <set>

#include "standin/clock.h"
#include "standin/counters.h"
#include "standin/memory.h"

namespace sam3::standin {
namespace {

// What makes the host wait: the size of the result is on the device.
const std::set<std::string> kWaits{
    "aten::nonzero", "aten::masked_select", "aten::unique_dim", "aten::_unique2",          "aten::_unique",
    "aten::equal",   "aten::is_nonzero",    "aten::bincount",   "aten::repeat_interleave", "aten::unique_consecutive",
    "aten::isin"};
const std::set<std::string> kViews{"aten::view_as_complex", "aten::view_as_real", "aten::unfold", "aten::alias"};
const std::set<std::string> kIndexing{"aten::index", "aten::_unsafe_index", "aten::index_put", "aten::index_put_",
                                      "aten::_index_put_impl_"};

std::string full_name(const c10::FunctionSchema& schema) {
  return schema.overload_name().empty() ? schema.name() : schema.name() + "." + schema.overload_name();
}

void each_tensor(const c10::IValue& value, const std::function<void(const at::Tensor&)>& body) {
  if (value.isTensor()) {
    body(value.toTensor());
  } else if (value.isTensorList()) {
    for (const at::Tensor& tensor : value.toTensorList()) body(tensor);
  } else if (value.isOptionalTensorList()) {
    for (const std::optional<at::Tensor>& tensor : value.toOptionalTensorList())
      if (tensor.has_value()) body(*tensor);
  }
}

// Counts an operator. Returns whether it depends on what a call was given.
bool count_operator(const c10::FunctionSchema& schema, const c10::IValue* arguments) {
  const std::lock_guard guard(mutex());
  Counts& counts = here();
  if (kWaits.contains(schema.name())) count_wait(schema.name());
  bool varies = false, nothing = false;
  for (size_t i = 0; i < schema.arguments().size(); i++) {
    each_tensor(arguments[i], [&](const at::Tensor& tensor) {
      if (!on_device(tensor)) return;
      varies = varies || Memory::get().varies(tensor);
      if (arguments[i].isTensor() && tensor.numel() == 0 && !schema.arguments()[i].kwarg_only()) nothing = true;
    });
  }
  if (kViews.contains(schema.name())) return varies;
  const std::string name = full_name(schema);
  const bool of_maps = schema.name() == "sam3::relu_of_norm" || schema.name() == "sam3::relu_of_shifted_norm";
  counts.operators += of_maps ? 3 : 1;  // its kernels
  counts.by_operator[name]++;
  if (nothing) {
    counts.empty++;
  } else if (!varies) {
    counts.constant++;
    counts.by_constant[name]++;
  }
  return varies;
}

// Asks the device for the time of an operator: its tensors are read and written, a product is computed.
void ask_for(const c10::FunctionSchema& schema, const std::vector<at::Tensor>& inputs, const c10::IValue* results) {
  if (kViews.contains(schema.name())) return;
  static const std::map<std::string, size_t> kProducts{{"aten::mm", 0},
                                                       {"aten::bmm", 0},
                                                       {"aten::addmm", 1},
                                                       {"aten::baddbmm", 1},
                                                       {"sam3::linear_gelu", 0}};  // which input has the inner side
  double bytes = 0, flops = 0;
  for (const at::Tensor& input : inputs) bytes += bytes_of(input);
  for (size_t i = 0; i < schema.returns().size(); i++)
    each_tensor(results[i], [&](const at::Tensor& result) {
      if (!result.defined()) return;
      bytes += bytes_of(result);
      const auto product = kProducts.find(schema.name());
      if (product != kProducts.end())
        flops += 2.0 * static_cast<double>(result.numel() * inputs.at(product->second).size(-1));
    });
  ask(flops, bytes);
}

void mark_results(const c10::FunctionSchema& schema, const c10::IValue* results, bool varies) {
  const std::lock_guard guard(mutex());
  for (size_t i = 0; i < schema.returns().size(); i++) {
    const auto* alias = schema.returns()[i].alias_info();
    const bool written = !alias || alias->isWrite();
    each_tensor(results[i], [&](const at::Tensor& tensor) {
      if (on_device(tensor) && (varies || (written && results[i].isTensor()))) Memory::get().set_varies(tensor, varies);
    });
  }
}

// A tensor of the host among those of the device, as CUDA takes it: an index is copied, a number is a parameter.
void admit_host_tensor(const c10::FunctionSchema& schema, size_t argument, const at::Tensor& tensor, bool is_index) {
  if (is_index) {
    const std::lock_guard guard(mutex());
    here().uploads++;
    here().uploaded_bytes += static_cast<int64_t>(tensor.nbytes());
    count_wait(schema.name() + " with an index on the host");
  } else if (tensor.dim() > 0) {
    mixed(full_name(schema), schema.arguments()[argument].name(), tensor);
  }
}

}  // namespace

void mixed(const std::string& op, const std::string& argument, const at::Tensor& tensor) {
  std::string sizes;
  for (const auto size : tensor.sizes()) sizes += (sizes.empty() ? "" : ",") + std::to_string(size);
  TORCH_CHECK(false, "Expected all tensors to be on the same device, but found at least two devices, ", kDevice.str(),
              " and ", tensor.device().str(), "! (", op, ", argument ", argument, " [", sizes, "])");
}

at::Tensor alias_of(const at::Tensor& tensor) {
  const auto& storage = tensor.storage();
  const bool shapes = kernels() == Kernels::shapes;
  void* address = shapes || !storage.data() ? nullptr : Memory::get().host_of(storage.data());
  c10::Storage same(c10::Storage::use_byte_size_t(), storage.nbytes(),
                    c10::DataPtr(address, c10::Device(shapes ? c10::kMeta : c10::kCPU)), nullptr, /*resizable=*/false);
  const c10::DispatchKeySet key(shapes ? c10::DispatchKey::Meta : c10::DispatchKey::CPU);
  at::Tensor out = at::detail::make_tensor<c10::TensorImpl>(std::move(same), key, tensor.dtype());
  out.unsafeGetTensorImpl()->set_sizes_and_strides(tensor.sizes(), tensor.strides(), tensor.storage_offset());
  return out;
}

at::Tensor Call::enter(const at::Tensor& tensor) {
  for (const auto& [ours, seen] : pairs_)
    if (ours.is_same(tensor)) return seen;
  return pairs_.emplace_back(tensor, alias_of(tensor)).second;
}

at::Tensor Call::enter_output(const at::Tensor& tensor) {
  const auto device = kernels() == Kernels::shapes ? c10::kMeta : c10::kCPU;
  return pairs_.emplace_back(tensor, at::empty({0}, at::TensorOptions(tensor.scalar_type()).device(device))).second;
}

void Call::take_size(const at::Tensor& tensor, const at::Tensor& from) {
  const size_t bytes = static_cast<size_t>(from.numel()) * from.element_size();
  if (bytes > tensor.storage().nbytes()) resize(tensor.storage(), bytes);
  tensor.unsafeGetTensorImpl()->set_sizes_contiguous(from.sizes());
  if (kernels() == Kernels::run && bytes > 0)
    std::memcpy(Memory::get().host_of(tensor.mutable_data_ptr()), from.contiguous().const_data_ptr(), bytes);
}

at::Tensor Call::leave(const at::Tensor& result) const {
  if (!result.defined() || on_device(result)) return result;
  const c10::DispatchKeySet key(c10::DispatchKey::PrivateUse1);
  for (const auto& [ours, seen] : pairs_)
    if (seen.is_same(result)) {
      if (ours.sizes() != seen.sizes()) take_size(ours, seen);
      return ours;
    }
  const void* data = result.storage().data();
  for (const auto& [ours, seen] : pairs_) {
    const bool same_memory = data && Memory::get().is_host(data) && data == seen.storage().data();
    if (!seen.storage().is_alias_of(result.storage()) && !same_memory) continue;
    at::Tensor view = at::detail::make_tensor<c10::TensorImpl>(c10::TensorImpl::VIEW, c10::Storage(ours.storage()), key,
                                                               result.dtype());
    view.unsafeGetTensorImpl()->set_sizes_and_strides(result.sizes(), result.strides(), result.storage_offset());
    return view;
  }
  const bool shapes = kernels() == Kernels::shapes;
  const bool whole = result.storage_offset() == 0 && result.storage().nbytes() <= result.nbytes();
  const at::Tensor dense = shapes || whole ? result : result.contiguous().clone();
  at::Tensor out =
      at::detail::empty_strided_generic(dense.sizes(), dense.strides(), &allocator(), key, dense.scalar_type());
  if (!shapes && dense.numel() > 0)
    std::memcpy(Memory::get().host_of(out.mutable_data_ptr()), dense.const_data_ptr(),
                std::min(dense.storage().nbytes(), out.storage().nbytes()));
  return out;
}

bool count_launch(const std::string& name, std::initializer_list<const at::Tensor*> inputs) {
  const std::lock_guard guard(mutex());
  const bool varies = std::any_of(inputs.begin(), inputs.end(), [](const at::Tensor* input) {
    return on_device(*input) && Memory::get().varies(*input);
  });
  here().operators++;
  here().by_operator[name]++;
  if (varies) return true;
  here().constant++;
  here().by_constant[name]++;
  return false;
}

at::Tensor marked(at::Tensor tensor, bool varies) {
  const std::lock_guard guard(mutex());
  Memory::get().set_varies(tensor, varies);
  return tensor;
}

void run_on_cpu(const c10::OperatorHandle& op, torch::jit::Stack* stack) {
  const auto& schema = op.schema();
  const size_t begin = stack->size() - schema.arguments().size();
  const bool shapes = kernels() == Kernels::shapes, indexes = kIndexing.contains(schema.name());
  const bool varies = count_operator(schema, stack->data() + begin);
  const auto results = [&] { return stack->data() + (stack->size() - schema.returns().size()); };

  Call call;
  const auto convert = [&](const at::Tensor& tensor, size_t argument, bool element) -> at::Tensor {
    if (!tensor.defined()) return tensor;
    if (on_device(tensor)) {
      const auto* alias = schema.arguments()[argument].alias_info();
      const bool is_output = alias && alias->isWrite() && schema.arguments()[argument].kwarg_only();
      if (is_output && tensor.numel() == 0) return call.enter_output(tensor);
      if (indexes && element && (tensor.scalar_type() == at::kBool || tensor.scalar_type() == at::kByte)) {
        const std::lock_guard guard(mutex());
        count_wait(schema.name() + " by a mask");
      }
      return call.enter(tensor);
    }
    if (tensor.device().is_cpu()) admit_host_tensor(schema, argument, tensor, indexes && element);
    return shapes ? at::empty_strided(tensor.sizes(), tensor.strides(), tensor.options().device(c10::kMeta)) : tensor;
  };
  std::vector<at::Tensor> inputs;
  for (size_t i = 0; i < schema.arguments().size(); i++)
    each_tensor((*stack)[begin + i], [&](const at::Tensor& tensor) {
      if (on_device(tensor)) inputs.push_back(tensor);
    });
  // Arguments on the host are refused or counted before anything is computed.
  std::vector<c10::IValue> converted;
  for (size_t i = 0; i < schema.arguments().size(); i++) {
    const auto& value = (*stack)[begin + i];
    if (value.isTensor()) {
      converted.emplace_back(convert(value.toTensor(), i, false));
    } else if (value.isTensorList()) {
      c10::List<at::Tensor> list;
      for (const at::Tensor& tensor : value.toTensorList()) list.push_back(convert(tensor, i, true));
      converted.emplace_back(std::move(list));
    } else if (value.isOptionalTensorList()) {
      c10::List<std::optional<at::Tensor>> list;
      for (const std::optional<at::Tensor>& tensor : value.toOptionalTensorList())
        list.push_back(tensor.has_value() ? std::optional<at::Tensor>(convert(*tensor, i, true)) : std::nullopt);
      converted.emplace_back(std::move(list));
    } else if (value.isDevice() && value.toDevice().type() == kType) {
      converted.emplace_back(c10::Device(shapes ? c10::kMeta : c10::kCPU));
    } else {
      converted.push_back(value);
    }
  }
  if (shapes && infer_shapes(schema, stack)) {
    ask_for(schema, inputs, results());
    return mark_results(schema, results(), varies);
  }
  std::move(converted.begin(), converted.end(), stack->begin() + static_cast<std::ptrdiff_t>(begin));
  op.callBoxed(stack);
  for (size_t i = stack->size() - schema.returns().size(); i < stack->size(); i++) {
    auto& value = (*stack)[i];
    if (value.isTensor()) {
      value = call.leave(value.toTensor());
    } else if (value.isTensorList()) {
      c10::List<at::Tensor> list;
      for (const at::Tensor& tensor : value.toTensorList()) list.push_back(call.leave(tensor));
      value = std::move(list);
    }
  }
  ask_for(schema, inputs, results());
  mark_results(schema, results(), varies);
}

}  // namespace sam3::standin
