#pragma once
#include <ATen/core/Tensor.h>

#include <array>
#include <cstdint>
#include <vector>

namespace sam3 {

// One binary mask as COCO run lengths: column-major, alternating background and foreground, background first
// (a leading 0 when the first pixel is set). The runs add up to width * height.
struct MaskRuns {
  std::vector<uint32_t> runs;
  int64_t area = 0;                        // set pixels
  std::array<int32_t, 4> box{0, 0, 0, 0};  // x0 y0 x1 y1 of the set pixels, exclusive; zeros when there are none
};

struct MaskSet {
  int64_t width = 0, height = 0;  // of the image the masks belong to, pixels
  std::vector<MaskRuns> masks;
};

// Maps that wait to become masks. They are computed on the device one after another, fetched with one copy and one
// wait, and traced by all threads of the pool together.
class PendingMasks {
 public:
  // `out` has its width and height, and gets the masks of maps [N, h, w]; `values` gets the maps themselves. Both must
  // live until finish(). All maps of one PendingMasks have the same h and w. May finish what has gathered so far.
  void add(at::Tensor maps, float threshold, MaskSet& out, std::vector<float>* values = nullptr);
  void finish();

 private:
  struct Entry {
    at::Tensor maps;
    float threshold;
    MaskSet* out;
    std::vector<float>* values;
  };
  std::vector<Entry> entries_;
  int64_t waiting_ = 0;  // elements
};

// Resizes logits [N, h, w] to height x width (bilinear, half-pixel centres, as torch's interpolate with
// align_corners=False) and keeps the pixels above `threshold`.
//
// The full-size map is never made: a cell of the small map whose four corners lie on one side of the threshold is one
// run of each column that crosses it, so the cost is that of the outline, and the memory that of the runs: 200 masks of
// an 8000 x 6000 image need some megabytes. Equal to the bit to interpolating every pixel.
MaskSet runs_from_logits(const at::Tensor& logits, int64_t width, int64_t height, float threshold = 0.0f);

}  // namespace sam3
