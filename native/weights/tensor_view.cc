#include "weights/tensor_view.h"

#include <ATen/Functions.h>
#include <ATen/ops/from_blob.h>

#include <cstring>

namespace sam3 {

at::Tensor view_of(const std::byte* data, const std::vector<int64_t>& sizes, const std::vector<int64_t>& strides,
                   at::ScalarType dtype) {
  const auto options = at::TensorOptions(dtype);
  const size_t item = c10::elementSize(dtype);
  int64_t reach = 1;  // elements from the first to the last, both counted
  for (size_t i = 0; i < sizes.size(); i++) {
    if (sizes[i] == 0) return at::empty(sizes, options);
    reach += (sizes[i] - 1) * strides[i];
  }
  // from_blob takes no const pointer; the mapping behind it is read-only all the same.
  if (reinterpret_cast<uintptr_t>(data) % item == 0)
    return at::from_blob(const_cast<std::byte*>(data), sizes, strides, options);
  at::Tensor copy = at::empty({reach}, options);
  std::memcpy(copy.mutable_data_ptr(), data, static_cast<size_t>(reach) * item);
  return copy.as_strided(sizes, strides);
}

int64_t checked_numel(const std::vector<int64_t>& sizes) {
  int64_t count = 1;
  for (const int64_t size : sizes)
    if (size < 0 || __builtin_mul_overflow(count, size, &count)) return -1;
  return count;
}

std::vector<int64_t> contiguous_strides(const std::vector<int64_t>& sizes) {
  std::vector<int64_t> strides(sizes.size(), 1);
  for (size_t i = sizes.size(); i-- > 1;) strides[i - 1] = strides[i] * std::max<int64_t>(sizes[i], 1);
  return strides;
}

}  // namespace sam3
