#pragma once
#include <c10/core/Device.h>
#include <c10/core/ScalarType.h>

#include <string>

// Operators of LibTorch in the namespace sam3: what the functions of those names in scripts/export/fused.py compute,
// and torch.nn.functional.layer_norm, each with a kernel or three on a GPU; and linear_gelu of cpu_kernels.py as one
// product that applies GELU to what it writes, which is GELU's tanh form. On a CPU they are LibTorch's own operators,
// which is for tests; programs use them on other devices only.
//
//   sam3::apply_rope(Tensor(a!) x, Tensor rope) -> Tensor(a!)      in place
//   sam3::norm_of_sum(Tensor x, Tensor shift, Tensor weight, Tensor bias, float eps) -> Tensor
//   sam3::relu_of_norm(Tensor(a!) x, Tensor other, Tensor index, Tensor weight, Tensor bias, int groups, float eps)
//     -> Tensor(a!)                                                in place
//   sam3::relu_of_shifted_norm(Tensor(a!) x, Tensor shift, Tensor weight, Tensor bias, int groups, float eps)
//     -> Tensor(a!)                                                in place
//   sam3::linear_gelu(Tensor x, Tensor weight, Tensor bias) -> Tensor
//   sam3::layer_norm(Tensor x, int[] shape, Tensor? weight, Tensor? bias, float eps) -> Tensor
namespace sam3::kernels {

// For the whole process; once.
void register_operators();

// Compiles the kernels for a device and compares them with LibTorch's operators there. Empty where they work, else why
// they are not used. Later calls for the same device and dtype give the same answer. Never throws.
std::string prepare(c10::Device device, c10::ScalarType dtype);

// Whether the operators on this device are what LibTorch's own say on the same numbers, within the dtype's rounding.
// Empty, or what differs. Throws what the device throws.
std::string compare_operators(c10::Device device, c10::ScalarType dtype);

}  // namespace sam3::kernels
