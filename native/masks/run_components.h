#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

namespace sam3 {

// Pixels [begin, end) of one line; a line is a row or a column, whichever way a mask is stored.
struct LineRun {
  int32_t line, begin, end;
};

// 8-connected components of a mask given as runs in order of line and position, no two of which touch. Found run by
// run, not pixel by pixel: a mask has a few hundred runs.
class RunComponents {
 public:
  explicit RunComponents(const std::vector<LineRun>& runs);

  // Of a run; components are numbered in the order of their first run.
  int64_t component(std::size_t run) const { return component_[run]; }
  int64_t count() const { return static_cast<int64_t>(area_.size()); }
  int64_t area(int64_t component) const { return area_[component]; }  // pixels

 private:
  std::vector<int64_t> component_, area_;
};

// A mask with its small flaws repaired.
struct Repaired {
  std::vector<LineRun> mask;
  std::vector<LineRun> filled;   // holes: background components of at most max_area pixels
  std::vector<LineRun> removed;  // sprinkles: then, foreground components of at most min(max_area, area / 2) pixels
};

// Source: Meta's fill_holes_in_mask_scores. The mask covers `lines` lines of `length` pixels.
Repaired repair_mask(const std::vector<LineRun>& mask, int64_t lines, int64_t length, int64_t max_area,
                     bool fill_holes = true, bool remove_sprinkles = true);

}  // namespace sam3
