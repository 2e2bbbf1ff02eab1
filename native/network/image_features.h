#pragma once
#include <ATen/core/Tensor.h>

#include <memory>

#include "network/program.h"

namespace sam3 {

// What the network keeps of one image. The necks are made when first needed: text and exemplars use the detector's,
// clicks the tracker's, and most images are asked only one kind of question. SAM 3.1 has a third for what is followed
// through a video, which in SAM 3 is the tracker's.
// Read and written on the engine thread only.
struct ImageFeatures {
  int64_t width = 0, height = 0;  // of the original image, pixels
  at::Tensor vit;                 // [1, Cv, G, G]; dropped when all necks exist that are asked for
  Program::Levels detector;       // batch 1
  Program::Levels tracker;        // batch 1
  Program::Levels propagation;    // batch 1; SAM 3.1 only

  // Of memory that lies where the network runs.
  int64_t bytes() const {
    int64_t sum = vit.defined() ? static_cast<int64_t>(vit.nbytes()) : 0;
    for (const Program::Levels* levels : {&detector, &tracker, &propagation})
      for (const at::Tensor* one : {&levels->fine, &levels->middle, &levels->coarse})
        if (one->defined()) sum += static_cast<int64_t>(one->nbytes());
    return sum;
  }
  void release() { *this = ImageFeatures{width, height, {}, {}, {}, {}}; }
  bool released() const { return !vit.defined() && !detector.coarse.defined() && !tracker.coarse.defined(); }
};

using ImageFeaturesPtr = std::shared_ptr<ImageFeatures>;

}  // namespace sam3
