// Full history on a device with a memory of its own: what lies where, and that it stays the same.
#include <ATen/Functions.h>
#include <doctest/doctest.h>

#include "network/device.h"
#include "support/golden.h"
#include "video/tracker/memory_bank.h"

using namespace sam3;
using namespace sam3::test;

namespace {

constexpr int64_t kMemoryFrames = 7, kFrames = 60;

// Each tensor says which frame it is of, and what it is.
FrameOutput output_of(int64_t frame, c10::Device device, c10::ScalarType dtype) {
  const auto filled = [&](at::IntArrayRef size, double value, c10::ScalarType type) {
    return at::full(size, value, at::TensorOptions(type)).to(device);
  };
  const auto value = static_cast<double>(frame);
  return {filled({2, 9, 5}, value, dtype),
          filled({2, 6, 6}, value + 100, at::kFloat),
          filled({2, 3}, 2 * value, dtype),
          at::full({2, 1}, 5.0f),
          at::full({2}, 0.9f),
          0.9f};
}

}  // namespace

TEST_CASE("full history: what is far away goes to the host, as it is, and only where that is another place") {
  const c10::Device device = resolve_target(test_device(), "float32").device;
  for (const auto dtype : {at::kFloat, at::kBFloat16}) {
    const TrackerOptions options;
    const std::vector<std::set<int64_t>> prompted{{0}, {0}};
    MemoryBank bank;
    bank.set_conditioning(0, output_of(0, device, dtype));
    const auto move = [&](int64_t frame) { bank.move_to_host(frame, prompted, options, kMemoryFrames, kFrames); };
    for (int64_t frame = 1; frame < kFrames; frame++) {
      bank.set_tracked(frame, output_of(frame, device, dtype));
      move(frame);
    }
    // Memory that was made anew while the old one was on its way.
    const int64_t late = kFrames - 1 - options.max_obj_ptrs_in_encoder;
    const at::Tensor again = at::full({2, 9, 5}, 7.0, at::TensorOptions(dtype)).to(device);
    bank.set_memory(late, again);
    move(kFrames - 1);
    CHECK(bank.tracked(late)->memory.is_same(again));

    int64_t on_host = 0;
    for (int64_t frame = 0; frame < kFrames; frame++) {
      CAPTURE(frame);
      const FrameOutput& kept = frame == 0 ? *bank.conditioning(0) : *bank.tracked(frame);
      const bool near = frame == 0 || frame > late;  // the conditioning frame is looked at from everywhere
      if (frame != late) {
        CHECK((kept.memory.device() == (near ? device : c10::Device(c10::kCPU))));
        CHECK((kept.memory.scalar_type() == dtype));
        CHECK((kept.memory.sizes() == at::IntArrayRef{2, 9, 5}));
        CHECK(kept.memory.to(at::kCPU).eq(static_cast<double>(frame)).all().item<bool>());
      }
      CHECK((kept.masks.device() == (near ? device : c10::Device(c10::kCPU))));
      CHECK(kept.masks.to(at::kCPU).eq(static_cast<double>(frame + 100)).all().item<bool>());
      CHECK(kept.pointers.to(at::kCPU).eq(static_cast<double>(2 * frame)).all().item<bool>());
      if (!near) on_host += static_cast<int64_t>(kept.masks.nbytes());
    }
    CHECK(bank.host_bytes() >= on_host);
    CHECK((bank.host_bytes() == bank.bytes()) == device.is_cpu());
  }
}
