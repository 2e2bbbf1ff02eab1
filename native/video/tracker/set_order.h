#pragma once
#include <cstdint>
#include <vector>

namespace sam3 {

// The order in which a Python program meets the elements of a set of ints that were added in this order: that of
// CPython's hash table. The reference walks such a set when prompts of several frames become memory, and of two
// conditioning frames that are equally near it later prefers the one that it met first.
std::vector<int64_t> python_set_order(const std::vector<int64_t>& added);

}  // namespace sam3
