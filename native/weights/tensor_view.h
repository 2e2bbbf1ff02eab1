#pragma once
#include <ATen/core/Tensor.h>

#include <cstddef>
#include <cstdint>
#include <vector>

namespace sam3 {

// A CPU tensor over `data`, which must hold every element that `sizes` and `strides` (in elements) reach, and must
// outlive the tensor. Where the address is not a multiple of the element size (a format without alignment), a copy of
// it.
at::Tensor view_of(const std::byte* data, const std::vector<int64_t>& sizes, const std::vector<int64_t>& strides,
                   at::ScalarType dtype);

// Number of elements of `sizes`, or -1 where it does not fit into int64 or a size is negative.
int64_t checked_numel(const std::vector<int64_t>& sizes);

// Strides of a contiguous tensor.
std::vector<int64_t> contiguous_strides(const std::vector<int64_t>& sizes);

}  // namespace sam3
