#include "video/concepts/hungarian.h"

#include <algorithm>
#include <limits>

namespace sam3 {
namespace {

// Assignment with at most as many rows as columns.
class Assignment {
 public:
  Assignment(const std::vector<double>& cost, int64_t rows, int64_t columns)
      : cost_(cost),
        columns_(columns),
        row_price_(rows),
        column_price_(columns),
        column_of_(rows, -1),
        row_of_(columns, -1),
        path_(columns) {
    for (int64_t row = 0; row < rows; row++) augment(row);
  }
  const std::vector<int64_t>& column_of() const { return column_of_; }

 private:
  // Gives `start` a column, moving other rows along the cheapest path to a free column.
  void augment(int64_t start) {
    constexpr double kInfinity = std::numeric_limits<double>::infinity();
    std::vector<double> shortest(columns_, kInfinity);
    std::vector<bool> row_seen(column_of_.size()), column_seen(columns_);
    // From the last column to the first: which of equally near columns is taken depends on this order.
    std::vector<int64_t> remaining(columns_);
    for (int64_t i = 0; i < columns_; i++) remaining[i] = columns_ - 1 - i;

    double distance = 0;
    int64_t row = start, sink = -1;
    while (sink < 0) {
      row_seen[row] = true;
      double lowest = kInfinity;
      size_t nearest = 0;
      for (size_t i = 0; i < remaining.size(); i++) {
        const int64_t column = remaining[i];
        const double reduced = distance + cost_[row * columns_ + column] - row_price_[row] - column_price_[column];
        if (reduced < shortest[column]) {
          path_[column] = row;
          shortest[column] = reduced;
        }
        // A free column ends the path: prefer it among equals.
        if (shortest[column] < lowest || (shortest[column] == lowest && row_of_[column] < 0)) {
          lowest = shortest[column];
          nearest = i;
        }
      }
      distance = lowest;
      const int64_t column = remaining[nearest];
      if (row_of_[column] < 0)
        sink = column;
      else
        row = row_of_[column];
      column_seen[column] = true;
      remaining[nearest] = remaining.back();
      remaining.pop_back();
    }

    row_price_[start] += distance;
    for (size_t i = 0; i < row_seen.size(); i++)
      if (row_seen[i] && static_cast<int64_t>(i) != start) row_price_[i] += distance - shortest[column_of_[i]];
    for (int64_t j = 0; j < columns_; j++)
      if (column_seen[j]) column_price_[j] -= distance - shortest[j];

    for (int64_t column = sink, moved = -1; moved != start;) {
      moved = path_[column];
      row_of_[column] = moved;
      std::swap(column_of_[moved], column);
    }
  }

  const std::vector<double>& cost_;
  const int64_t columns_;
  std::vector<double> row_price_, column_price_;
  std::vector<int64_t> column_of_, row_of_, path_;
};

}  // namespace

std::vector<std::pair<int64_t, int64_t>> assign(const std::vector<double>& cost, int64_t rows, int64_t columns) {
  std::vector<std::pair<int64_t, int64_t>> pairs;
  if (rows == 0 || columns == 0) return pairs;
  if (rows <= columns) {
    const Assignment found(cost, rows, columns);
    for (int64_t row = 0; row < rows; row++) pairs.emplace_back(row, found.column_of()[row]);
    return pairs;
  }
  std::vector<double> turned(cost.size());
  for (int64_t row = 0; row < rows; row++)
    for (int64_t column = 0; column < columns; column++) turned[column * rows + row] = cost[row * columns + column];
  const Assignment found(turned, columns, rows);
  for (int64_t column = 0; column < columns; column++) pairs.emplace_back(found.column_of()[column], column);
  std::sort(pairs.begin(), pairs.end());
  return pairs;
}

}  // namespace sam3
