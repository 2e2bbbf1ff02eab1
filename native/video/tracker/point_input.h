#pragma once
#include <array>
#include <cstdint>
#include <optional>
#include <vector>

namespace sam3 {

// Points and at most one box for one object on one frame.
struct PointInput {
  std::vector<float> points;                // x y in pixels of the square network input
  std::vector<int64_t> labels;              // 1 per point: 1 foreground, 0 background
  std::optional<std::array<float, 4>> box;  // x0 y0 x1 y1 in the same pixels
  bool clear_old_points = true;             // false: to be added to those that the object has on this frame
  bool use_prev_mem_frame = false;          // on a frame that was tracked before: attend to memory all the same
};

}  // namespace sam3
