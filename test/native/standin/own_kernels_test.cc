// Kernels of our own in the program, on a device that has them.
#include <ATen/ATen.h>
#include <doctest/doctest.h>

#include <cstdlib>
#include <memory>

#include "image/image_model.h"
#include "network/own_kernels.h"
#include "standin/made_up.h"
#include "standin/standin.h"
#include "support/golden.h"

using namespace sam3;

namespace {

using Calls = std::map<std::string, int64_t>;

struct Off {
  Off() { setenv("SAM3_KERNELS", "off", /*overwrite=*/1); }
  ~Off() { unsetenv("SAM3_KERNELS"); }
};

struct Shapes {
  Shapes() { standin::set_kernels(standin::Kernels::shapes); }
  ~Shapes() { standin::set_kernels(standin::Kernels::run); }
};

Calls launched() {
  Calls found;
  for (const auto& [name, times] : standin::total().by_operator)
    if (name.starts_with("sam3::")) found[name.substr(6)] = times;
  return found;
}

// What an image and a text go through: the last maps of each step.
std::vector<at::Tensor> through(const Program& program) {
  const auto& a = program.architecture();
  auto generator = at::make_generator<at::CPUGeneratorImpl>(5);
  const auto random = [&](std::vector<int64_t> size) {
    return at::randn(size, generator, at::TensorOptions(at::kFloat))
        .to(program.target().device, program.target().dtype);
  };
  const auto device = program.target().device;
  const at::Tensor index = at::tensor({0, 0, 0}, at::kLong).to(device);
  const at::Tensor valid = at::ones({3, 7}, at::kBool).to(device);
  const at::Tensor vit = program.encode_image(random({1, 3, a.image_size, a.image_size}), [] {});
  const auto levels = program.neck_detect(vit);
  const at::Tensor prompt = random({3, 7, levels.coarse.size(1)});
  const auto found = program.detect(levels.coarse, index, prompt, valid);
  const auto maps = program.pixel_embed(levels, index, found.encoded, prompt, valid);
  return {vit, found.logits, found.boxes, found.encoded, maps.instance, maps.semantic};
}

}  // namespace

TEST_SUITE("standin") {
  TEST_CASE("kernels of our own take the place of every call that a program has of them, and give the same") {
    std::vector<at::Tensor> plain;
    {
      const Off off;
      const auto model = test::test_model().load();
      CHECK(model->program().kernels().why_not == "SAM3_KERNELS=off");
      CHECK(model->program().kernels().calls.empty());
      standin::reset();
      plain = through(model->program());
      CHECK(launched() == Calls{});
    }
    const auto model = test::test_model().load();
    CHECK(model->program().kernels().why_not == "");
    // In the image encoder and the tracker's attention, before each step of both encoders, in the pixel decoder in both
    // of its forms, and wherever rows are normalised alone.
    const Calls all{
        {"apply_rope", 6}, {"layer_norm", 5}, {"norm_of_sum", 5}, {"relu_of_norm", 2}, {"relu_of_shifted_norm", 2}};
    CHECK(model->program().kernels().calls == all);
    standin::reset();
    const auto ours = through(model->program());
    const auto& a = model->program().architecture();
    CHECK(launched().at("apply_rope") == a.vision_layers);
    CHECK(launched().at("norm_of_sum") > 2 * a.vision_layers);
    REQUIRE(ours.size() == plain.size());
    for (size_t i = 0; i < ours.size(); i++) {
      CAPTURE(i);
      CHECK((ours[i] - plain[i]).abs().max().item<float>() < 1e-4);
    }
  }

  TEST_CASE("kernels of our own in SAM 3.1") {
    const Calls all{
        {"apply_rope", 6}, {"layer_norm", 5}, {"norm_of_sum", 5}, {"relu_of_norm", 2}, {"relu_of_shifted_norm", 2}};
    CHECK(test::load_multiplex(4)->program().kernels().calls == all);
  }

  TEST_CASE("kernels of our own at the true size") {
    const Shapes shapes;
    ImageModelOptions options;
    options.device = "standin";
    options.dtype = "bfloat16";
    const auto model =
        std::make_unique<ImageModel>(standin::shapes_model(), options, std::function<void(uint64_t, uint64_t)>{});
    standin::reset();
    through(model->program());
    CHECK(launched() == Calls{{"apply_rope", 32},
                              {"layer_norm", 35},
                              {"linear_gelu", 32},
                              {"norm_of_sum", 64 + 17},
                              {"relu_of_norm", 2}});
  }

  TEST_CASE("the products of half precision apply GELU's other form, and that is less than rounding does") {
    const auto bfloat16 = [] { return test::test_model().load("bfloat16"); };
    const auto exact = through(test::test_model().load()->program())[0].cpu().to(at::kFloat);
    const auto off = [&](const Program& program) {
      const auto its = through(program)[0].cpu().to(at::kFloat);
      return ((its - exact).square().mean() / exact.square().mean()).sqrt().item<double>();
    };
    double plain = 0;
    {
      const Off none;
      plain = off(bfloat16()->program());
    }
    const auto model = bfloat16();
    // In the image and the text encoder and in the memory encoder.
    CHECK(model->program().kernels().calls.at("linear_gelu") == 3);
    const double ours = off(model->program());
    CHECK(plain > 0);
    CHECK(ours < 1.25 * plain);
    MESSAGE("of the image encoder's output: " << plain << " with the exact form, " << ours << " with the other");
  }
}
