#pragma once
#include <ATen/core/Tensor.h>
#include <c10/core/Event.h>

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <vector>

namespace sam3 {

// Values on their way between the host and the device of the network. A copy of any size costs a call to the driver,
// and most make the host wait until the device has done all that it was asked for before: so what is known together
// travels together. On a CPU nothing moves.

// These tensors of the host on `device`, as one upload that nobody waits for.
std::vector<at::Tensor> upload(const std::vector<at::Tensor>& tensors, c10::Device device);
at::Tensor upload(const at::Tensor& tensor, c10::Device device);

// Tensors on their way to the host: one copy, which the device makes when it comes to it.
class HostCopy {
 public:
  HostCopy() = default;
  explicit HostCopy(const std::vector<at::Tensor>& tensors);
  void wait() const;          // any thread
  void wait_quietly() const;  // the same for a thread in no hurry: a driver's own wait keeps a core busy
  // Views of one block of memory, which may be read when it was waited for.
  const std::vector<at::Tensor>& tensors() const { return tensors_; }

 private:
  std::vector<at::Tensor> tensors_;
  std::optional<c10::Event> arrived_;  // none where nothing moves
};

// These tensors on the host, with one copy and one wait: views of one block of memory.
std::vector<at::Tensor> to_host(const std::vector<at::Tensor>& tensors);
at::Tensor to_host(const at::Tensor& tensor);

// All elements in row-major order, as float32; as above.
std::vector<std::vector<float>> floats_of(const std::vector<at::Tensor>& host);
std::vector<std::vector<float>> to_floats(const std::vector<at::Tensor>& tensors);
std::vector<float> to_floats(const at::Tensor& tensor);

// Bytes of those of these tensors that are defined; `host_only`: of those of them that lie on the host.
int64_t bytes_of(std::initializer_list<const at::Tensor*> tensors, bool host_only = false);

// An int64 tensor [n] of the host, to index with.
at::Tensor index_tensor(const std::vector<int64_t>& values);
at::Tensor index_tensor(const std::vector<int64_t>& values, c10::Device device);

}  // namespace sam3
