#pragma once
#include <cstdint>
#include <utility>
#include <vector>

namespace sam3 {

// The assignment of rows to columns with the least total cost: min(rows, columns) pairs, by row. `cost` is
// [rows * columns] row-major and finite.
// Method: shortest augmenting paths for rectangular matrices (Crouse, "On implementing 2D rectangular assignment
// algorithms", IEEE T-AES 52(4), 2016), which also decides between equal assignments as SciPy's
// linear_sum_assignment does.
std::vector<std::pair<int64_t, int64_t>> assign(const std::vector<double>& cost, int64_t rows, int64_t columns);

}  // namespace sam3
