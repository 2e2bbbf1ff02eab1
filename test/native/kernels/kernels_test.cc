// The kernels: compiled for the CPU against LibTorch's operators, and by NVRTC for GPUs.
#include <ATen/ATen.h>
#include <doctest/doctest.h>

#include <cmath>
#include <cstdlib>
#include <optional>
#include <regex>
#include <string>
#include <vector>

#include "kernels/emulator.h"
#include "kernels/fused_operators.h"
#include "kernels/kernel_source.h"
#include "kernels/launch.h"
#include "kernels/nvrtc.h"
#include "network/device.h"

using namespace sam3;

namespace {

const std::vector<c10::ScalarType> kDtypes{at::kFloat, at::kBFloat16, at::kHalf};

// One rounding to the dtype, and another order of summation in float.
double allowed(c10::ScalarType dtype) {
  return dtype == at::kFloat ? 3e-6 : dtype == at::kHalf ? 0x1p-10 : 0x1p-7;
}

// The largest difference, as a share of what is larger than 1.
double difference(const at::Tensor& ours, const at::Tensor& reference) {
  const at::Tensor a = ours.to(at::kDouble), b = reference.to(at::kDouble);
  return ((a - b).abs() / b.abs().clamp_min(1.0)).max().item<double>();
}

class Random {
 public:
  at::Tensor operator()(std::vector<int64_t> size, c10::ScalarType dtype) {
    return at::randn(size, generator_, at::TensorOptions(at::kFloat)).to(dtype);
  }
  at::Tensor table(std::vector<int64_t> size) {
    return at::polar(at::ones(size), at::randn(size, generator_, at::TensorOptions(at::kFloat)));
  }

 private:
  at::Generator generator_ = at::make_generator<at::CPUGeneratorImpl>(7);
};

at::Tensor turned(const at::Tensor& x, const at::Tensor& table) {
  const at::Tensor pairs = x.to(at::kDouble).unflatten(-1, {x.size(-1) / 2, 2});
  return at::view_as_real(at::view_as_complex(pairs.contiguous()) * table.to(at::kComplexDouble)).flatten(-2);
}

void check_rope(const at::Tensor& x, const at::Tensor& table) {
  const at::Tensor want = turned(x, table);
  REQUIRE(kernels::launch_apply_rope(emulator::launch, x, table));
  CHECK(difference(x, want) <= allowed(x.scalar_type()));
}

}  // namespace

TEST_CASE("kernels: rotary positions, of every layout in which the network has them") {
  Random random;
  for (const auto dtype : kDtypes) {
    CAPTURE(c10::toString(dtype));
    // Queries and keys among the values that lie between them, which stay as they are.
    at::Tensor qkv = random({3, 25, 3, 2, 64}, dtype);
    const at::Tensor before = qkv.clone();
    check_rope(qkv.narrow(2, 0, 2), random.table({25, 32}).unsqueeze(1).unsqueeze(1));
    CHECK(at::equal(qkv.select(2, 2), before.select(2, 2)));
    CHECK_FALSE(at::equal(qkv.select(2, 1), before.select(2, 1)));
    // Heads as the tracker splits them; a part of the keys, with a table of their own for each.
    check_rope(random({2, 7, 4, 16}, dtype).transpose(1, 2), random.table({7, 8}));
    check_rope(random({1, 1, 21, 8}, dtype).narrow(2, 0, 14), random.table({7, 4}).repeat({2, 1}));
    check_rope(random({5, 72}, dtype), random.table({1, 36}));
    check_rope(random({8}, dtype), random.table({4}));
    check_rope(random({2, 3, 5, 7, 2, 8}, dtype).narrow(3, 0, 6), random.table({4}));
  }
}

TEST_CASE("kernels: rotary positions that the kernel does not take are left alone") {
  Random random;
  const auto refused = [](const at::Tensor& x, const at::Tensor& table) {
    const at::Tensor before = x.clone();
    const bool taken = kernels::launch_apply_rope(emulator::launch, x, table);
    return !taken && at::equal(x, before);
  };
  CHECK(refused(random({5, 12}, at::kFloat), random.table({5, 6})));                         // no whole chunks
  CHECK(refused(random({5, 16}, at::kDouble), random.table({5, 8})));                        // another dtype
  CHECK(refused(random({5, 16}, at::kFloat), random.table({5, 8}).to(at::kComplexDouble)));  // another table
  CHECK(refused(random({16, 5}, at::kFloat).t(), random.table({5, 8})));                     // columns
  CHECK(refused(random({5, 17}, at::kBFloat16).narrow(1, 1, 16), random.table({5, 8})));     // odd addresses
  CHECK(refused(random({5, 20}, at::kBFloat16).narrow(1, 0, 16), random.table({5, 8})));     // odd rows
  CHECK(refused(random({5, 16}, at::kFloat), random.table({4, 8})));                         // another size
  CHECK(refused(random({0, 16}, at::kFloat), random.table({1, 8})));                         // nothing
  CHECK(refused(random({2, 3, 2, 3, 2, 3, 8}, at::kFloat).transpose(0, 1).transpose(2, 3).transpose(4, 5),
                random.table({4})));  // dimensions that do not follow one another
}

TEST_CASE("kernels: LayerNorm of a sum, at odd sizes") {
  Random random;
  for (const auto dtype : kDtypes)
    for (const int64_t width : {8, 72, 248, 256, 264, 512, 520, 768, 1016, 1024})
      for (const int64_t rows : {1, 3, 4, 37}) {
        CAPTURE(c10::toString(dtype));
        CAPTURE(width);
        CAPTURE(rows);
        // Far from zero, where a variance from sums of squares has no digits left.
        const at::Tensor x = (random({rows, width}, at::kFloat) + 30).to(dtype), shift = random({width}, dtype),
                         weight = random({width}, dtype), bias = random({width}, dtype);
        at::Tensor out = at::full_like(x, std::nan(""));
        REQUIRE(kernels::launch_norm_of_sum(emulator::launch, out, x, shift, weight, bias, 1e-5));
        const at::Tensor want = at::layer_norm((x.to(at::kDouble) + shift.to(at::kDouble)), {width},
                                               weight.to(at::kDouble), bias.to(at::kDouble), 1e-5);
        CHECK(difference(out, want) <= (dtype == at::kFloat ? 3e-5 : allowed(dtype)));
      }
}

TEST_CASE("kernels: LayerNorm of rows, short ones too") {
  Random random;
  for (const auto dtype : kDtypes)
    for (const int64_t width : {4, 8, 16, 32, 40, 64, 256, 1024})
      for (const int64_t rows : {1, 31, 129}) {
        CAPTURE(c10::toString(dtype));
        CAPTURE(width);
        CAPTURE(rows);
        const at::Tensor x = (random({rows, width}, at::kFloat) + 30).to(dtype), weight = random({width}, dtype),
                         bias = random({width}, dtype);
        at::Tensor out = at::full_like(x, std::nan(""));
        REQUIRE(kernels::launch_layer_norm(emulator::launch, out, x, weight, bias, 1e-6));
        const at::Tensor want =
            at::layer_norm(x.to(at::kDouble), {width}, weight.to(at::kDouble), bias.to(at::kDouble), 1e-6);
        CHECK(difference(out, want) <= (dtype == at::kFloat ? 3e-5 : allowed(dtype)));
      }
  const auto taken = [&](const at::Tensor& x, const at::Tensor& row) {
    at::Tensor out = at::empty(x.sizes(), x.options());
    return kernels::launch_layer_norm(emulator::launch, out, x, row, row, 1e-6);
  };
  CHECK(taken(random({2, 3, 4}, at::kHalf), random({4}, at::kHalf)));
  CHECK_FALSE(taken(random({3, 12}, at::kFloat), random({12}, at::kFloat)));
  CHECK_FALSE(taken(random({3, 4}, at::kFloat), random({4}, at::kHalf)));
  CHECK_FALSE(taken(random({4, 3}, at::kFloat).t(), random({4}, at::kFloat)));
  CHECK_FALSE(taken(random({3, 5}, at::kHalf).narrow(1, 1, 4), random({4}, at::kHalf)));
}

TEST_CASE("kernels: a LayerNorm that the kernel does not take, and numbers that are none") {
  Random random;
  const auto taken = [&](const at::Tensor& x, const at::Tensor& row) {
    at::Tensor out = at::empty(x.sizes(), x.options());
    return kernels::launch_norm_of_sum(emulator::launch, out, x, row, row, row, 1e-5);
  };
  CHECK(taken(random({2, 3, 16}, at::kHalf), random({16}, at::kHalf)));
  CHECK_FALSE(taken(random({3, 12}, at::kFloat), random({12}, at::kFloat)));
  CHECK_FALSE(taken(random({3, 1032}, at::kFloat), random({1032}, at::kFloat)));
  CHECK_FALSE(taken(random({3, 16}, at::kFloat), random({16}, at::kHalf)));
  CHECK_FALSE(taken(random({16, 3}, at::kFloat).t(), random({16}, at::kFloat)));
  CHECK_FALSE(taken(random({0, 16}, at::kFloat), random({16}, at::kFloat)));
  for (const auto dtype : kDtypes) {
    at::Tensor x = random({2, 16}, dtype), row = at::ones({16}, dtype), out = at::empty_like(x);
    x[1][3] = std::nan("");
    REQUIRE(kernels::launch_norm_of_sum(emulator::launch, out, x, row, row, row, 1e-5));
    CHECK_FALSE(out[0].isnan().any().item<bool>());
    CHECK(out[1].isnan().all().item<bool>());
  }
}

TEST_CASE("kernels: ReLU of GroupNorm of maps that prompts share") {
  Random random;
  struct Size {
    int64_t prompts, images, side, channels, groups;
  };
  // One run of 64 pixels, a part of one, many; groups of 1 to 32 lanes.
  for (const auto dtype : kDtypes)
    for (const auto& [prompts, images, side, channels, groups] :
         {Size{3, 2, 8, 256, 8}, Size{1, 1, 3, 64, 8}, Size{5, 2, 19, 96, 3}, Size{2, 1, 50, 256, 1}}) {
      CAPTURE(c10::toString(dtype));
      CAPTURE(side);
      const auto map = [&](int64_t count) {
        return (random({count, side, side, channels}, at::kFloat) + 20).to(dtype).permute({0, 3, 1, 2});
      };
      const at::Tensor x = map(prompts), other = map(images), weight = random({channels}, dtype),
                       bias = random({channels}, dtype);
      const at::Tensor index = at::arange(prompts - 1, -1, -1, at::kLong).remainder(images);
      const at::Tensor want = at::group_norm(x.to(at::kDouble) + other.to(at::kDouble).index_select(0, index), groups,
                                             weight.to(at::kDouble), bias.to(at::kDouble), 1e-5)
                                  .relu();
      REQUIRE(kernels::launch_relu_of_norm(emulator::launch, x, other, index, weight, bias, groups, 1e-5));
      CHECK(difference(x, want) <= (dtype == at::kFloat ? 3e-5 : allowed(dtype)));
    }
}

TEST_CASE("kernels: ReLU of GroupNorm of maps and a bias") {
  Random random;
  for (const auto dtype : kDtypes)
    for (const int64_t side : {3, 19, 40}) {
      CAPTURE(c10::toString(dtype));
      CAPTURE(side);
      const at::Tensor x = (random({2, side, side, 64}, at::kFloat) + 20).to(dtype).permute({0, 3, 1, 2}),
                       shift = random({64}, dtype) * 5, weight = random({64}, dtype), bias = random({64}, dtype);
      const at::Tensor sum = x.to(at::kDouble) + shift.to(at::kDouble).view({1, -1, 1, 1});
      const at::Tensor want = at::group_norm(sum, 8, weight.to(at::kDouble), bias.to(at::kDouble), 1e-5).relu();
      REQUIRE(kernels::launch_relu_of_shifted_norm(emulator::launch, x, shift, weight, bias, 8, 1e-5));
      CHECK(difference(x, want) <= (dtype == at::kFloat ? 3e-5 : allowed(dtype)));
    }
  const at::Tensor map = random({1, 4, 4, 32}, at::kFloat).permute({0, 3, 1, 2}), row = random({32}, at::kFloat);
  const auto taken = [&](const at::Tensor& x, const at::Tensor& shift) {
    return kernels::launch_relu_of_shifted_norm(emulator::launch, x, shift, row, row, 2, 1e-5);
  };
  CHECK(taken(map.clone(), row));
  CHECK_FALSE(taken(map.contiguous(), row));              // channel by channel
  CHECK_FALSE(taken(map.clone(), row.narrow(0, 0, 16)));  // too short
  CHECK_FALSE(taken(map.clone(), row.to(at::kHalf)));     // another dtype
}

TEST_CASE("kernels: maps that the kernel does not take are left alone") {
  Random random;
  const auto taken = [&](const at::Tensor& x, const at::Tensor& other, const at::Tensor& index, int64_t groups) {
    const at::Tensor row = at::ones({x.size(1)}, x.options()), before = x.clone();
    const bool done = kernels::launch_relu_of_norm(emulator::launch, x, other, index, row, row, groups, 1e-5);
    CHECK(done != at::equal(x, before));
    return done;
  };
  const auto map = [&](int64_t channels, int64_t side = 4) {
    return random({1, side, side, channels}, at::kFloat).permute({0, 3, 1, 2});
  };
  const at::Tensor first = at::zeros({1}, at::kLong);
  CHECK(taken(map(32), map(32), first, 2));
  CHECK_FALSE(taken(map(32).contiguous(), map(32), first, 2));         // channel by channel
  CHECK_FALSE(taken(map(32), map(32, 5), first, 2));                   // another size
  CHECK_FALSE(taken(map(32), map(32).to(at::kHalf), first, 2));        // another dtype
  CHECK_FALSE(taken(map(32), map(32), first.to(at::kInt), 2));         // another index
  CHECK_FALSE(taken(map(32), map(32), at::zeros({2}, at::kLong), 2));  // one for each prompt
  CHECK_FALSE(taken(map(24), map(24), first, 2));                      // groups of 12 channels
  CHECK_FALSE(taken(map(48), map(48), first, 2));                      // groups of 3 lanes
  CHECK_FALSE(taken(map(264), map(264), first, 1));                    // more than a warp has lanes
}

TEST_CASE("kernels: NVRTC compiles every one for every GPU, without spilling registers") {
  std::string why;
  const auto nvrtc = kernels::Nvrtc::find(why);
  REQUIRE_MESSAGE(nvrtc, why);
  for (const auto& [dtype, option] : std::vector<std::pair<c10::ScalarType, std::string>>{
           {at::kFloat, "-DSAM3_FLOAT32"}, {at::kBFloat16, "-DSAM3_BFLOAT16"}, {at::kHalf, "-DSAM3_FLOAT16"}})
    for (const std::string architecture : {"sm_80", "sm_90", "compute_80"}) {
      CAPTURE(option);
      CAPTURE(architecture);
      const auto compiled = nvrtc->compile(kernels::kKernelSource, architecture, {option, "--ptxas-options=-v"});
      REQUIRE_MESSAGE(!compiled.code.empty(), compiled.log);
      for (const std::string& name : kernels::kernel_names(dtype)) CHECK(compiled.code.find(name) != std::string::npos);
      if (architecture.starts_with("compute")) continue;
      const std::regex of_a_kernel(
          "entry function '(\\w+)'[^']*'[\\s\\S]*?(\\d+) bytes stack frame, (\\d+) bytes spill stores, (\\d+) bytes "
          "spill loads[\\s\\S]*?Used (\\d+) registers");
      size_t kernels = 0;
      for (std::sregex_iterator it(compiled.log.begin(), compiled.log.end(), of_a_kernel), end; it != end; ++it) {
        const auto& found = *it;
        kernels++;
        CAPTURE(found.str(1));
        CHECK(found.str(2) + " " + found.str(3) + " " + found.str(4) == "0 0 0");
        // With 64 a multiprocessor holds 8 blocks of 128 threads, 32 of its 64 warps.
        CHECK(std::stoi(found.str(5)) <= 64);
      }
      CHECK(kernels == kernels::kernel_names(dtype).size());
    }
  const auto wrong = nvrtc->compile("no kernel", "sm_90", {});
  CHECK(wrong.code.empty());
  CHECK(wrong.log.find("error") != std::string::npos);
}

TEST_CASE("kernels: on a GPU they work; where there is none they say why") {
  const std::string why = kernels::prepare(c10::Device(c10::kCUDA, 0), at::kBFloat16);
  CAPTURE(why);
  CHECK(why.empty() == (available_devices().size() > 1));
}

TEST_CASE("kernels: a compiler that is not there is named") {
  const char* set = std::getenv("SAM3_NVRTC");
  const std::optional<std::string> before = set ? std::optional<std::string>(set) : std::nullopt;
  setenv("SAM3_NVRTC", "/nowhere/libnvrtc.so.12", /*overwrite=*/1);
  std::string why;
  CHECK_FALSE(kernels::Nvrtc::find(why).has_value());
  CHECK(why == "SAM3_NVRTC=/nowhere/libnvrtc.so.12 is no NVRTC");
  if (before)
    setenv("SAM3_NVRTC", before->c_str(), /*overwrite=*/1);
  else
    unsetenv("SAM3_NVRTC");
}

TEST_CASE("kernels: why there are none on a CPU, and that the operators give the same there") {
  CHECK(kernels::prepare(c10::Device(c10::kCPU), at::kFloat) == "there are none for this kind of device");
  kernels::register_operators();
  for (const auto dtype : kDtypes) CHECK(kernels::compare_operators(c10::Device(c10::kCPU), dtype) == "");
}
