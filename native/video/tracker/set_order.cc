#include "video/tracker/set_order.h"

#include <optional>
#include <utility>

namespace sam3 {
namespace {

using Table = std::vector<std::optional<int64_t>>;

// Of the element, or the free one that it would get. An int, up to 2^61, is its own hash.
size_t slot_of(const Table& table, int64_t value) {
  constexpr size_t kNeighbours = 9;
  constexpr int kShift = 5;
  const size_t mask = table.size() - 1;
  auto rest = static_cast<size_t>(value);
  for (size_t i = rest & mask;;) {
    const size_t last = i + kNeighbours <= mask ? i + kNeighbours : i;
    for (size_t at = i; at <= last; at++)
      if (!table[at] || *table[at] == value) return at;
    rest >>= kShift;
    i = (i * 5 + 1 + rest) & mask;
  }
}

}  // namespace

std::vector<int64_t> python_set_order(const std::vector<int64_t>& added) {
  Table table(8);
  size_t used = 0;
  for (const int64_t value : added) {
    const size_t slot = slot_of(table, value);
    if (table[slot]) continue;
    table[slot] = value;
    used++;
    if (used * 5 < (table.size() - 1) * 3) continue;
    size_t size = 8;
    while (size <= used * 4) size *= 2;
    Table larger(size);
    for (const auto& old : table)
      if (old) larger[slot_of(larger, *old)] = old;
    table = std::move(larger);
  }
  std::vector<int64_t> order;
  for (const auto& value : table)
    if (value) order.push_back(*value);
  return order;
}

}  // namespace sam3
