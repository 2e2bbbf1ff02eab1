// Frames of a video, to the byte.
#include "video/frames/frame_transform.h"

#include <ATen/Functions.h>
#include <doctest/doctest.h>

#include "support/golden.h"
#include "support/support.h"
#include "support/video_golden.h"

using namespace sam3;
using namespace sam3::test;

namespace {

RgbImage raw(const at::Tensor& pixels) {
  return {pixels.const_data_ptr<uint8_t>(), pixels.size(1), pixels.size(0)};
}

}  // namespace

TEST_CASE("golden frame transform: single planes as Pillow resizes them") {
  const Json* cases = golden_function("resize_u8");
  if (!cases) return;
  for (const Json& one : cases->as_array("cases")) {
    const at::Tensor input = tensor_of(one.at("input"))[0].to(at::kByte).unsqueeze(-1).expand({-1, -1, 3}).contiguous();
    const at::Tensor size = tensor_of(one.at("size"));
    if (size[0].item<float>() != size[1].item<float>()) continue;  // we resize to squares only
    for (const auto& [name, filter] :
         {std::pair{"pil_bilinear", FrameFilter::bilinear}, std::pair{"pil_bicubic", FrameFilter::bicubic}}) {
      CAPTURE(name);
      const at::Tensor got = resize_frame(raw(input), size[0].item<int64_t>(), filter);
      for (int64_t c = 0; c < 3; c++) CHECK(at::equal(got[c], tensor_of(one.at(name)).to(at::kByte)));
    }
  }
}

TEST_CASE("golden frame transform: the clip equals the reference's frames to the byte, in both ways") {
  for (const auto& [name, filter] :
       {std::pair{"text_video", FrameFilter::bilinear}, std::pair{"tracker_video", FrameFilter::bicubic}}) {
    CAPTURE(name);
    const auto recording = golden_cases(name);
    if (!recording) continue;
    const at::Tensor clip = clip_of(golden_model(), *recording);
    const at::Tensor frames = GoldenTensors(golden_model(), name).at("frames_u8");
    REQUIRE(frames.size(0) == clip.size(0));
    for (int64_t t = 0; t < frames.size(0); t++) {
      CAPTURE(t);
      CHECK(at::equal(resize_frame(raw(clip[t]), frames.size(-1), filter), frames[t]));
    }
  }
}

TEST_CASE("golden frame transform: bilinear frames are normalised in float16, bicubic ones in float32") {
  if (!golden_cases("text_video")) return;
  const GoldenTensors text(golden_model(), "text_video");
  const at::Tensor half = text.at("frames_f16_first2"), frames = text.at("frames_u8");
  for (int64_t t = 0; t < half.size(0); t++) {
    const at::Tensor got = normalize_frame(frames[t], byte_table(FrameFilter::bilinear, {c10::kCPU, at::kFloat}));
    CHECK(at::equal(got, half[t].unsqueeze(0).to(at::kFloat)));
    const at::Tensor exact = (frames[t].to(at::kFloat) / 255.0f - 0.5f) / 0.5f;
    CHECK(at::equal(normalize_frame(frames[t], byte_table(FrameFilter::bicubic, {c10::kCPU, at::kFloat}))[0], exact));
    CHECK(at::equal(normalize_frame(frames[t], byte_table(FrameFilter::bicubic, {c10::kCPU, at::kBFloat16}))[0],
                    exact.to(at::kBFloat16)));
  }
}

TEST_CASE("frame transform: a frame of the right size is kept, and one pixel fills a square") {
  std::mt19937_64 random(3);
  at::Tensor pixels = at::empty({14, 14, 3}, at::kByte);
  for (int64_t i = 0; i < pixels.numel(); i++) pixels.mutable_data_ptr<uint8_t>()[i] = static_cast<uint8_t>(random());
  for (const FrameFilter filter : {FrameFilter::bilinear, FrameFilter::bicubic}) {
    CHECK(at::equal(resize_frame(raw(pixels), 14, filter), pixels.permute({2, 0, 1})));
    const at::Tensor dot = pixels.narrow(0, 0, 1).narrow(1, 0, 1).contiguous();
    CHECK(at::equal(resize_frame(raw(dot), 28, filter), dot.permute({2, 0, 1}).expand({3, 28, 28})));
  }
}
