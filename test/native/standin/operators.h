#pragma once
#include <ATen/core/Tensor.h>
#include <torch/library.h>

#include <initializer_list>
#include <string>
#include <utility>
#include <vector>

namespace sam3::standin {

// One operator under way: its tensors as the kernels see them, and its results as tensors of the device.
class Call {
 public:
  // The same memory as a CPU tensor, or where only shapes are computed as one of the meta device.
  at::Tensor enter(const at::Tensor& tensor);
  // A stand-in for an output that has no memory yet.
  at::Tensor enter_output(const at::Tensor& tensor);
  at::Tensor leave(const at::Tensor& result) const;

 private:
  static void take_size(const at::Tensor& tensor, const at::Tensor& from);
  std::vector<std::pair<at::Tensor, at::Tensor>> pairs_;  // of the device, as the kernels see it
};

at::Tensor alias_of(const at::Tensor& tensor);

// Counts a launch that reads these. Returns whether its results depend on what a call was given.
bool count_launch(const std::string& name, std::initializer_list<const at::Tensor*> inputs);
at::Tensor marked(at::Tensor tensor, bool varies);

// CUDA's words: programs are told apart by them.
[[noreturn]] void mixed(const std::string& op, const std::string& argument, const at::Tensor& tensor);

// Every operator that has no kernel of its own here.
void run_on_cpu(const c10::OperatorHandle& op, torch::jit::Stack* stack);

// Shapes of operators that LibTorch has no meta kernel in C++ for; false where it has.
bool infer_shapes(const c10::FunctionSchema& schema, torch::jit::Stack* stack);

// Kernels of our own: memory, views, copies, attention, convolution.
void register_kernels(torch::Library& aten);
bool has_own_kernel(const std::string& name);

const at::Tensor& resize_output(const at::Tensor& self, c10::IntArrayRef size, std::optional<at::MemoryFormat> format);

}  // namespace sam3::standin
