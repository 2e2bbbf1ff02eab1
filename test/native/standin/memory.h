#pragma once
#include <ATen/core/Tensor.h>
#include <c10/core/CachingDeviceAllocator.h>

#include <cstddef>
#include <map>
#include <unordered_map>
#include <vector>

namespace sam3::standin {

inline constexpr auto kType = c10::DeviceType::PrivateUse1;
inline const c10::Device kDevice(kType, 0);

inline bool on_device(const at::Tensor& tensor) {
  return tensor.defined() && tensor.device().type() == kType;
}

// The device's memory. Its addresses lie in a range without access rights; kernels see the same memory at a fixed
// distance. Everything here is called under mutex().
class Memory {
 public:
  static Memory& get();

  void* take(size_t bytes);
  void give(void* address);
  std::byte* host_of(const void* address) const { return host_ + (static_cast<const std::byte*>(address) - device_); }
  bool is_host(const void* address) const { return address >= host_ && address < host_ + kSize; }

  // Whether a tensor's memory depends on what a call was given. Nothing is known of memory that has no bytes.
  bool varies(const at::Tensor& tensor) const;
  void set_varies(const at::Tensor& tensor, bool varies);

  size_t used() const { return used_; }
  size_t reserved() const { return top_; }
  size_t peak() const { return peak_; }
  void reset_peak() { peak_ = used_; }

  // Memory of the host that copies may run beside: what CUDA calls pinned.
  c10::Allocator& pinned();
  bool is_pinned(const void* address) const;

 private:
  Memory();
  struct Block {
    size_t size;
    bool varies;
  };
  static constexpr size_t kSize = size_t{1} << 40;
  std::byte *device_, *host_;
  size_t top_ = 0, used_ = 0, peak_ = 0;
  std::map<size_t, std::vector<size_t>> free_;  // by size
  std::unordered_map<size_t, Block> blocks_;    // by place
};

c10::DeviceAllocator& allocator();

// Memory of another size with the old content.
void resize(const c10::Storage& storage, size_t bytes);

}  // namespace sam3::standin
