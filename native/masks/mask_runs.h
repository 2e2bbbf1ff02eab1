#pragma once
#include <ATen/core/Tensor.h>

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "core/host_values.h"

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

struct MaskGrid;  // how the pixels of a picture lie in a map

// Maps that wait to become masks. They are computed on the device one after another, and fetched with one copy and one
// wait.
class PendingMasks {
 public:
  // `out` has its width and height, and gets the masks of maps [N, h, w]; `values` gets the maps themselves. Both must
  // live until the last mask is traced. All maps of one PendingMasks have the same h and w.
  void add(at::Tensor maps, float threshold, MaskSet& out, std::vector<float>* values = nullptr);
  bool is_empty() const { return masks_.empty(); }
  bool is_full() const;  // no more should gather on the device

  // In this order: asks the device for the copy, waits for it, traces mask i of size(): on any thread, all at once.
  void fetch();
  const HostCopy& copy() const { return copy_; }
  size_t size() const { return masks_.size(); }
  void trace(size_t i);

  // All of it, on all threads of LibTorch's pool together.
  void finish();

 private:
  struct Mask {
    int64_t number;  // in its set
    float threshold;
    MaskSet* out;
    std::vector<float>* values;
  };
  std::vector<at::Tensor> maps_;
  std::vector<Mask> masks_;
  std::map<std::pair<int64_t, int64_t>, std::shared_ptr<const MaskGrid>> grids_;  // by width and height
  HostCopy copy_;
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
