#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

namespace sam3 {

// Values on their way between the host and the device of the network. A copy of any size costs a call to the driver,
// and most make the host wait until the device has done all that it was asked for before: so what is known together
// travels together. On a CPU nothing moves.

// These tensors of the host on `device`, as one upload that nobody waits for.
std::vector<at::Tensor> upload(const std::vector<at::Tensor>& tensors, c10::Device device);
at::Tensor upload(const at::Tensor& tensor, c10::Device device);

// These tensors on the host, with one copy and one wait: views of one block of memory.
std::vector<at::Tensor> to_host(const std::vector<at::Tensor>& tensors);
at::Tensor to_host(const at::Tensor& tensor);

// All elements in row-major order, as float32; as above.
std::vector<std::vector<float>> to_floats(const std::vector<at::Tensor>& tensors);
std::vector<float> to_floats(const at::Tensor& tensor);

// An int64 tensor [n] of the host, to index with.
at::Tensor index_tensor(const std::vector<int64_t>& values);
at::Tensor index_tensor(const std::vector<int64_t>& values, c10::Device device);

}  // namespace sam3
