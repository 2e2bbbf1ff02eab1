#include "standin/standin.h"

#include <ATen/ATen.h>
#include <doctest/doctest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <limits>
#include <memory>

#include "core/stage_log.h"
#include "network/device.h"
#include "standin/clock.h"

using namespace sam3;

namespace {

const at::TensorOptions kFloats = at::TensorOptions(at::kFloat).device(c10::Device(c10::DeviceType::PrivateUse1, 0));

at::Tensor up(const at::Tensor& tensor) {
  return tensor.to(kFloats.device());
}

at::Tensor pinned(at::IntArrayRef size) {
  return at::empty(size, at::TensorOptions(at::kFloat).pinned_memory(true));
}

struct Shapes {
  Shapes() { standin::set_kernels(standin::Kernels::shapes); }
  ~Shapes() { standin::set_kernels(standin::Kernels::run); }
};

}  // namespace

TEST_SUITE("standin") {
  TEST_CASE("the host cannot read the device's memory") {
    const auto tensor = at::ones({4}, kFloats);
    const pid_t child = fork();
    if (child == 0) {
      std::signal(SIGSEGV, SIG_DFL);
      _exit(tensor.const_data_ptr<float>()[0] == 1.0f ? 0 : 1);
    }
    int status = 0;
    REQUIRE(waitpid(child, &status, 0) == child);
    REQUIRE(WIFSIGNALED(status));
    CHECK(WTERMSIG(status) == SIGSEGV);
  }

  TEST_CASE("memory that was never written is NaN, also where it is used again") {
    CHECK(at::empty({1000}, kFloats).isnan().all().item<bool>());
    for (int i = 0; i < 3; i++) (void)at::ones({1000}, kFloats);
    CHECK(at::empty({1000}, kFloats).isnan().all().item<bool>());
  }

  TEST_CASE("tensors of the host are refused, numbers are not") {
    const auto x = at::ones({2, 2}, kFloats);
    CHECK_THROWS_WITH_AS((void)(x + at::ones({2, 2})),
                         doctest::Contains("found at least two devices, standin:0 and cpu!"), c10::Error);
    CHECK_THROWS_AS((void)at::matmul(at::ones({2, 2}), x), c10::Error);
    CHECK_THROWS_AS((void)at::cat({x, at::ones({2, 2})}), c10::Error);
    CHECK((x + at::scalar_tensor(2.0f)).sum().item<float>() == 12);
  }

  TEST_CASE("kernels give what they give on a CPU") {
    at::manual_seed(3);
    const auto x = at::randn({2, 3, 8, 8}), weight = at::randn({4, 3, 3, 3}), bias = at::randn({4});
    const auto same = [](const at::Tensor& ours, const at::Tensor& theirs) {
      CHECK(ours.device() == kFloats.device());
      CHECK(at::equal(ours.cpu(), theirs));
    };
    same(at::conv2d(up(x), up(weight), up(bias), 1, 1), at::conv2d(x, weight, bias, 1, 1));
    same(at::layer_norm(up(x), {8}), at::layer_norm(x, {8}));
    same(at::scaled_dot_product_attention(up(x), up(x), up(x)), at::scaled_dot_product_attention(x, x, x));
    same(at::matmul(up(x), up(x.transpose(2, 3))), at::matmul(x, x.transpose(2, 3)));
    same(std::get<0>(up(x).topk(3)), std::get<0>(x.topk(3)));
    same(up(x).permute({0, 2, 3, 1}).contiguous().view({2, 64, 3}),
         x.permute({0, 2, 3, 1}).contiguous().view({2, 64, 3}));
    auto changed = up(x);
    changed[0].narrow(1, 2, 3).fill_(7);
    auto expected = x.clone();
    expected[0].narrow(1, 2, 3).fill_(7);
    same(changed, expected);
    same(changed.to(at::kBFloat16), expected.to(at::kBFloat16));
  }

  TEST_CASE("launches, copies and waits are counted as CUDA has them") {
    const auto x = at::ones({4, 4});
    standin::reset();
    const auto counted = [](auto&& body) {
      standin::reset();
      body();
      return standin::total();
    };
    at::Tensor device;
    auto counts = counted([&] { device = up(x); });
    CHECK(counts.uploads == 1);
    CHECK(counts.uploaded_bytes == 64);
    CHECK(counts.waits == 1);  // nobody may change the memory of the host before it is read
    CHECK(counts.operators == 0);
    auto source = pinned({4, 4});
    source.copy_(x);
    CHECK(source.is_pinned());
    counts = counted([&] { device = source.to(kFloats.device(), at::kFloat, /*non_blocking=*/true); });
    CHECK(counts.uploads == 1);
    CHECK(counts.waits == 0);
    CHECK(at::equal(device.cpu(), x));
    CHECK(counted([&] { (void)up(x.to(at::kDouble)).to(at::kFloat); }).operators == 1);
    counts = counted([&] { (void)(device.view({16}).unsqueeze(0) + 1).relu(); });
    CHECK(counts.operators == 2);
    CHECK(counts.waits == 0);
    counts = counted([&] { (void)device.cpu(); });
    CHECK(counts.downloads == 1);
    CHECK(counts.downloaded_bytes == 64);
    CHECK(counts.waits == 1);
    CHECK(counted([&] { (void)device.sum().item<float>(); }).waits == 1);
    CHECK(counted([&] { (void)device.nonzero(); }).waits == 1);
    counts = counted([&] { (void)device.index({at::tensor({0, 1})}); });  // CUDA copies the index by itself
    CHECK(counts.uploads == 1);
    CHECK(counts.waits == 1);
    counts = counted([&] { (void)device.t().to(at::kCPU); });
    CHECK(counts.downloads == 1);
  }

  TEST_CASE("what depends on no call is told from what does") {
    standin::loaded();
    standin::reset();
    const auto table = at::arange(4, kFloats) * 2;
    const auto given = up(at::ones({4}));
    const auto before = standin::total();
    CHECK(before.operators == before.constant);
    (void)(given + table);
    CHECK(standin::total().operators == before.operators + 1);
    CHECK(standin::total().constant == before.constant);
  }

  TEST_CASE("shapes are the same without kernels") {
    const auto shapes_of = [] {
      const auto x = at::zeros({2, 6, 8, 8}, kFloats), weight = at::zeros({4, 6, 3, 3}, kFloats);
      const auto up_weight = at::zeros({6, 4, 2, 2}, kFloats), row = at::zeros({5}, kFloats.dtype(at::kLong));
      std::vector<std::vector<int64_t>> out;
      for (const auto& made : {at::conv2d(x, weight, {}, 2, 1), at::conv_transpose2d(x, up_weight, {}, 2),
                               at::layer_norm(x, {8}), at::group_norm(x, 3), at::relu(x), at::where(x > 0, x, x[0]),
                               at::index_select(x, 1, row), at::floor_divide(x, x[0][0]), at::polar(x, x), x.abs(),
                               x.index({row, row}), std::get<0>(x.topk(3)), at::scaled_dot_product_attention(x, x, x),
                               x.argmax(1), at::cat({x, x}, 2), at::upsample_nearest2d(x, {16, 16})})
        out.push_back(made.sizes().vec());
      return out;
    };
    const auto real = shapes_of();
    const Shapes only;
    CHECK(shapes_of() == real);
  }

  TEST_CASE("without kernels a download reads what the test makes up") {
    const Shapes only;
    standin::set_reader([](at::Tensor& host) { host.fill_(5); });
    CHECK(at::zeros({3}, kFloats).cpu().sum().item<float>() == 15);
    standin::set_reader({});
  }

  TEST_CASE("the device works on while the host asks for more, and stages are told by its events") {
    const Shapes shapes;
    const auto x = at::ones({1024, 1024}, kFloats);
    standin::Card card;
    card.scale = 1000;  // the product takes some milliseconds
    standin::set_card(card);
    const auto product = [&] { return at::matmul(x, x); };
    product();
    const double each = standin::asked_busy();
    CHECK(each == doctest::Approx(1e3 * card.scale * 3 * 4 * 1024 * 1024 / card.bytes_per_second));  // in float32
    CHECK(each > 1e3 * card.scale * 2.0 * 1024 * 1024 * 1024 / card.flops);

    StageLog log(kFloats.device());
    const double before = now_ms();
    standin::reset();
    {
      const auto stage = StageLog::on_device(&log, Stage::encode);
      for (int i = 0; i < 100; i++) product();
    }
    {
      const auto stage = StageLog::on_device(&log, Stage::detect);
      for (int i = 0; i < 10; i++) product();
    }
    CHECK(log.spans()[1].end < standin::asked_until());  // when it was asked for
    CHECK_FALSE(log.settle());                           // the device is not there
    CHECK(standin::total().waits == 0);
    standin::wait_until(standin::asked_until());
    CHECK(log.settle());
    CHECK(standin::total().waits == 0);
    const auto spans = log.spans();
    REQUIRE(spans.size() == 2);
    CHECK(spans[0].stage == Stage::encode);
    CHECK(spans[0].begin >= before);
    CHECK(spans[0].end - spans[0].begin == doctest::Approx(100 * each));
    CHECK(spans[1].end - spans[1].begin == doctest::Approx(10 * each));
    CHECK(spans[1].begin == doctest::Approx(spans[0].end));
    CHECK(log.device_busy() == doctest::Approx(110 * each));
    standin::set_card({});
  }

  TEST_CASE("memory of the device that is in use") {
    const auto before = device_memory(kFloats.device());
    REQUIRE(before);
    auto tensor = std::make_unique<at::Tensor>(at::empty({1 << 20}, kFloats));
    const auto with = device_memory(kFloats.device());
    CHECK(with->allocated - before->allocated == 4 << 20);
    CHECK(with->reserved >= with->allocated);
    tensor.reset();
    CHECK(device_memory(kFloats.device())->allocated == before->allocated);
    CHECK_FALSE(device_memory(c10::Device(c10::kCPU)));
  }
}
