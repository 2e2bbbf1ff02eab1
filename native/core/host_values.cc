#include "core/host_values.h"

#include <ATen/Functions.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include <chrono>
#include <cstring>
#include <thread>

namespace sam3 {
namespace {

constexpr int64_t kAlignment = 64;  // bytes; of each tensor in a common upload

at::Tensor pinned(at::IntArrayRef size, at::ScalarType dtype) {
  return at::empty(size, at::TensorOptions(dtype).pinned_memory(true));
}

}  // namespace

std::vector<at::Tensor> upload(const std::vector<at::Tensor>& tensors, c10::Device device) {
  if (device.is_cpu()) return tensors;
  std::vector<int64_t> begins;
  int64_t total = 0;
  for (const at::Tensor& tensor : tensors) {
    begins.push_back(total);
    total += (static_cast<int64_t>(tensor.nbytes()) + kAlignment - 1) / kAlignment * kAlignment;
  }
  const at::Tensor staged = pinned({total}, at::kByte);
  for (size_t i = 0; i < tensors.size(); i++) {
    const at::Tensor whole = tensors[i].contiguous();
    if (whole.numel() > 0)
      std::memcpy(staged.mutable_data_ptr<uint8_t>() + begins[i], whole.const_data_ptr(), whole.nbytes());
  }
  const at::Tensor sent = staged.to(device, at::kByte, /*non_blocking=*/true);
  std::vector<at::Tensor> out;
  for (size_t i = 0; i < tensors.size(); i++) {
    const auto bytes = static_cast<int64_t>(tensors[i].nbytes());
    out.push_back(sent.narrow(0, begins[i], bytes).view(tensors[i].scalar_type()).view(tensors[i].sizes()));
  }
  return out;
}

at::Tensor upload(const at::Tensor& tensor, c10::Device device) {
  return upload(std::vector<at::Tensor>{tensor}, device)[0];
}

HostCopy::HostCopy(const std::vector<at::Tensor>& tensors) {
  if (tensors.empty() || tensors[0].is_cpu()) {
    tensors_ = tensors;
    return;
  }
  const c10::Device device = tensors[0].device();
  at::Tensor all = tensors[0];
  if (tensors.size() > 1) {
    std::vector<at::Tensor> flat;
    for (const at::Tensor& tensor : tensors) flat.push_back(tensor.flatten());
    all = at::cat(flat);
  }
  const at::Tensor host = pinned(all.sizes(), all.scalar_type());
  host.copy_(all, /*non_blocking=*/true);
  arrived_.emplace(device.type());
  arrived_->record(c10::impl::VirtualGuardImpl(device.type()).getStream(device));
  if (tensors.size() == 1) {
    tensors_ = {host};
    return;
  }
  int64_t next = 0;
  for (const at::Tensor& tensor : tensors) {
    tensors_.push_back(host.narrow(0, next, tensor.numel()).view(tensor.sizes()));
    next += tensor.numel();
  }
}

void HostCopy::wait() const {
  if (arrived_) arrived_->synchronize();
}

void HostCopy::wait_quietly() const {
  constexpr auto kPause = std::chrono::microseconds(50);
  while (arrived_ && !arrived_->query()) std::this_thread::sleep_for(kPause);
}

std::vector<at::Tensor> to_host(const std::vector<at::Tensor>& tensors) {
  const HostCopy copy(tensors);
  copy.wait();
  return copy.tensors();
}

at::Tensor to_host(const at::Tensor& tensor) {
  return to_host(std::vector<at::Tensor>{tensor})[0];
}

std::vector<std::vector<float>> floats_of(const std::vector<at::Tensor>& host) {
  std::vector<std::vector<float>> out;
  for (const at::Tensor& tensor : host) {
    const at::Tensor values = tensor.to(at::kFloat).contiguous();
    out.emplace_back(values.const_data_ptr<float>(), values.const_data_ptr<float>() + values.numel());
  }
  return out;
}

std::vector<std::vector<float>> to_floats(const std::vector<at::Tensor>& tensors) {
  return floats_of(to_host(tensors));
}

std::vector<float> to_floats(const at::Tensor& tensor) {
  return std::move(to_floats(std::vector<at::Tensor>{tensor})[0]);
}

int64_t bytes_of(std::initializer_list<const at::Tensor*> tensors, bool host_only) {
  int64_t total = 0;
  for (const at::Tensor* tensor : tensors)
    if (tensor->defined() && (!host_only || tensor->is_cpu())) total += static_cast<int64_t>(tensor->nbytes());
  return total;
}

at::Tensor index_tensor(const std::vector<int64_t>& values) {
  return at::tensor(values, at::TensorOptions().dtype(at::kLong));
}

at::Tensor index_tensor(const std::vector<int64_t>& values, c10::Device device) {
  return upload(index_tensor(values), device);
}

}  // namespace sam3
