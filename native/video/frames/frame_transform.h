#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>

#include "image/preprocess.h"
#include "network/device.h"

namespace sam3 {

// How the frames of a video become the network's input. Two ways, as in the reference: its video model reads a folder
// of frames with Pillow's bilinear filter and normalises in float16, its tracker alone uses Pillow's bicubic filter and
// normalises in float32.
enum class FrameFilter { bilinear, bicubic };

// The frame squashed to size x size: uint8 [3,size,size] on the CPU. Equal to the byte to Pillow's Image.resize on an
// RGB image: columns first, then rows, each pass in fixed point with 22 bits and rounded to a byte.
// (Pillow's src/libImaging/Resample.c is the source of the arithmetic.)
at::Tensor resize_frame(const RgbImage& image, int64_t size, FrameFilter filter);

// What each byte becomes, on the target's device and in its dtype, about -1..1 [256]: bilinear
// ((x / 255 as float16) - 0.5) / 0.5 in float16, bicubic the same in float32.
at::Tensor byte_table(FrameFilter filter, const Target& target);

// uint8 [3,S,S] of the host -> the network's input [1,3,S,S] where the table is.
at::Tensor normalize_frame(const at::Tensor& resized, const at::Tensor& table);

}  // namespace sam3
