#include "masks/run_components.h"

#include <algorithm>
#include <numeric>
#include <tuple>
#include <utility>

namespace sam3 {
namespace {

// Appends a run, joined to the last one where they touch.
void append(std::vector<LineRun>& runs, LineRun run) {
  if (!runs.empty() && runs.back().line == run.line && runs.back().end == run.begin)
    runs.back().end = run.end;
  else
    runs.push_back(run);
}

std::vector<LineRun> complement(const std::vector<LineRun>& runs, int64_t lines, int64_t length) {
  std::vector<LineRun> out;
  size_t next = 0;
  for (int32_t line = 0; line < lines; line++) {
    int32_t from = 0;
    for (; next < runs.size() && runs[next].line == line; next++) {
      if (runs[next].begin > from) out.push_back({line, from, runs[next].begin});
      from = runs[next].end;
    }
    if (from < length) out.push_back({line, from, static_cast<int32_t>(length)});
  }
  return out;
}

// Both are in order and share no pixel.
std::vector<LineRun> merge(const std::vector<LineRun>& a, const std::vector<LineRun>& b) {
  std::vector<LineRun> out;
  out.reserve(a.size() + b.size());
  for (size_t i = 0, j = 0; i < a.size() || j < b.size();) {
    const bool first = j == b.size() ||
                       (i < a.size() && (a[i].line < b[j].line || (a[i].line == b[j].line && a[i].begin < b[j].begin)));
    append(out, first ? a[i++] : b[j++]);
  }
  return out;
}

// Runs of components of at most `limit` pixels, and the others.
std::pair<std::vector<LineRun>, std::vector<LineRun>> split_small(const std::vector<LineRun>& runs, int64_t limit) {
  const RunComponents components(runs);
  std::pair<std::vector<LineRun>, std::vector<LineRun>> out;
  for (size_t i = 0; i < runs.size(); i++)
    (components.area(components.component(i)) <= limit ? out.first : out.second).push_back(runs[i]);
  return out;
}

}  // namespace

RunComponents::RunComponents(const std::vector<LineRun>& runs) {
  std::vector<int64_t> parent(runs.size());
  std::iota(parent.begin(), parent.end(), 0);
  const auto root = [&](int64_t i) {
    while (parent[i] != i) i = parent[i] = parent[parent[i]];
    return i;
  };
  // Of two roots the earlier run stays, so that components keep the order of their first run.
  const auto join = [&](int64_t a, int64_t b) {
    a = root(a), b = root(b);
    if (a != b) parent[std::max(a, b)] = std::min(a, b);
  };

  size_t above = 0;  // first run of the line before that can still touch
  for (size_t i = 0; i < runs.size(); i++) {
    const LineRun& run = runs[i];
    while (above < i &&
           (runs[above].line < run.line - 1 || (runs[above].line == run.line - 1 && runs[above].end < run.begin)))
      above++;
    for (size_t j = above; j < i && runs[j].line == run.line - 1 && runs[j].begin <= run.end; j++)
      join(static_cast<int64_t>(i), static_cast<int64_t>(j));
  }

  component_.resize(runs.size());
  for (size_t i = 0; i < runs.size(); i++) {
    const int64_t top = root(static_cast<int64_t>(i));
    if (top == static_cast<int64_t>(i)) {
      component_[i] = static_cast<int64_t>(area_.size());
      area_.push_back(0);
    } else {
      component_[i] = component_[top];
    }
    area_[component_[i]] += runs[i].end - runs[i].begin;
  }
}

Repaired repair_mask(const std::vector<LineRun>& mask, int64_t lines, int64_t length, int64_t max_area, bool fill_holes,
                     bool remove_sprinkles) {
  Repaired out{mask, {}, {}};
  if (max_area <= 0) return out;
  if (fill_holes) {
    out.filled = split_small(complement(out.mask, lines, length), max_area).first;
    if (!out.filled.empty()) out.mask = merge(out.mask, out.filled);
  }
  if (remove_sprinkles) {
    int64_t area = 0;
    for (const LineRun& run : out.mask) area += run.end - run.begin;
    std::tie(out.removed, out.mask) = split_small(out.mask, std::min(max_area, area / 2));
  }
  return out;
}

}  // namespace sam3
