#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

namespace sam3 {

// Values on their way between the host and the device of the network.

// All elements in row-major order, as float32.
std::vector<float> to_floats(const at::Tensor& tensor);

// An int64 tensor [n] on `device`, to index with.
at::Tensor index_tensor(const std::vector<int64_t>& values, c10::Device device);

}  // namespace sam3
