#include "core/host_values.h"

#include <ATen/Functions.h>
#include <doctest/doctest.h>

#include "network/device.h"
#include "support/golden.h"

using namespace sam3;
using namespace sam3::test;

TEST_CASE("host values: tensors of all kinds go to the device and back as they are") {
  const auto device = resolve_target(test_device(), "float32").device;
  const std::vector<at::Tensor> given{at::arange(7, at::kLong),
                                      at::tensor({0.5f, -1.0f, 3.0f}).view({3, 1}),
                                      at::empty({0, 32}, at::kLong),
                                      at::arange(6, at::kFloat).view({2, 3}).t(),
                                      at::arange(5, at::kLong).remainder(2).to(at::kBool),
                                      at::arange(9, at::kByte)};
  const auto sent = upload(given, device);
  REQUIRE(sent.size() == given.size());
  for (size_t i = 0; i < given.size(); i++) {
    CAPTURE(i);
    CHECK(sent[i].device().type() == device.type());
    CHECK(at::equal(to_host(sent[i]), given[i]));
  }
  CHECK(at::equal(to_host(index_tensor({4, 2}, device)), at::tensor({4, 2}, at::kLong)));
}

TEST_CASE("host values: several tensors are fetched together, as numbers or as they are") {
  const auto device = resolve_target(test_device(), "float32").device;
  const auto a = upload(at::arange(6, at::kFloat).view({2, 3}), device), b = upload(at::full({1}, 9.0f), device);
  const auto host = to_host({a, b, a.t()});
  REQUIRE(host.size() == 3);
  CHECK(host[0].is_cpu());
  CHECK(at::equal(host[0], at::arange(6, at::kFloat).view({2, 3})));
  CHECK(at::equal(host[2], host[0].t()));
  const auto values = to_floats({a.to(at::kBFloat16), b, a.t()});
  CHECK(values[0] == std::vector<float>{0, 1, 2, 3, 4, 5});
  CHECK(values[1] == std::vector<float>{9});
  CHECK(values[2] == std::vector<float>{0, 3, 1, 4, 2, 5});
  CHECK(to_floats(std::vector<at::Tensor>{}).empty());
}
