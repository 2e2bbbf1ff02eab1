#pragma once
#include <ATen/core/Tensor.h>

#include <functional>
#include <string>
#include <vector>

namespace sam3::kernels {

// Runs a kernel of kernels.cu by its name, in `blocks` of `threads`, with the addresses of its arguments.
using Launch = std::function<void(const char* kernel, unsigned blocks, unsigned threads, void** arguments)>;

// What kernels.cu has for a dtype; empty where it has nothing.
std::vector<std::string> kernel_names(c10::ScalarType dtype);

// The operators of fused_operators.h by their kernels. False, with nothing done, where the kernels do not take these
// tensors: of another layout or dtype, or at addresses that do not divide by 16.
bool launch_apply_rope(const Launch& launch, const at::Tensor& x, const at::Tensor& rope);
bool launch_norm_of_sum(const Launch& launch, at::Tensor& out, const at::Tensor& x, const at::Tensor& shift,
                        const at::Tensor& weight, const at::Tensor& bias, double eps);
bool launch_layer_norm(const Launch& launch, at::Tensor& out, const at::Tensor& x, const at::Tensor& weight,
                       const at::Tensor& bias, double eps);
bool launch_relu_of_norm(const Launch& launch, const at::Tensor& x, const at::Tensor& other, const at::Tensor& index,
                         const at::Tensor& weight, const at::Tensor& bias, int64_t groups, double eps);
bool launch_relu_of_shifted_norm(const Launch& launch, const at::Tensor& x, const at::Tensor& shift,
                                 const at::Tensor& weight, const at::Tensor& bias, int64_t groups, double eps);

}  // namespace sam3::kernels
