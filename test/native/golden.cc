#include "golden.h"

#include <ATen/Functions.h>
#include <doctest/doctest.h>

#include <cstdlib>

#include "support.h"

namespace sam3::test {
namespace {

std::string setting(const char* name) {
  return std::string(std::getenv(name) ? std::getenv(name) : "");
}

void flatten(const Json& value, size_t depth, std::vector<int64_t>& shape, std::vector<float>& out) {
  if (shape.size() == depth) {
    try {
      shape.push_back(static_cast<int64_t>(value.as_array("").size()));
    } catch (const JsonError&) {
      shape.push_back(-1);  // a number: the depth of the arrays is known
    }
  }
  if (shape[depth] < 0) {
    out.push_back(static_cast<float>(value.as_double("a number")));
    return;
  }
  REQUIRE(static_cast<int64_t>(value.as_array("rows").size()) == shape[depth]);
  for (const Json& element : value.as_array("rows")) flatten(element, depth + 1, shape, out);
}

}  // namespace

GoldenModel golden_model() {
  GoldenModel golden{setting("SAM3_TEST_PROGRAM"), setting("SAM3_TEST_MODEL")};
  if (!golden) MESSAGE("SAM3_TEST_PROGRAM and SAM3_TEST_MODEL are not set: nothing to test");
  return golden;
}

GoldenTensors::GoldenTensors(const GoldenModel& golden, const std::string& name)
    : file_(golden.model + "/../cases/" + name + ".safetensors") {}

at::Tensor GoldenTensors::at(const std::string& key) const {
  REQUIRE_MESSAGE(has(key), key);
  return file_.read(key).clone();  // a view would die with the file
}

at::Tensor GoldenTensors::masks(const std::string& key, int64_t height, int64_t width) const {
  const at::Tensor bits = at(key + ".bits");
  const at::Tensor weights = at::tensor(std::vector<int64_t>{128, 64, 32, 16, 8, 4, 2, 1}).to(at::kByte);
  return bits.unsqueeze(-1)
      .bitwise_and(weights)
      .ne(0)
      .flatten(1)
      .narrow(1, 0, height * width)
      .unflatten(1, {height, width});
}

at::Tensor tensor_of(const Json& value) {
  std::vector<int64_t> shape;
  std::vector<float> values;
  flatten(value, 0, shape, values);
  if (!shape.empty() && shape.back() < 0) shape.pop_back();
  return at::tensor(values, at::kFloat).view(shape);
}

at::Tensor golden_clip(int64_t height, int64_t width) {
  const std::string path = setting("SAM3_TEST_CLIP");
  if (path.empty()) {
    MESSAGE("SAM3_TEST_CLIP is not set: nothing to test");
    return {};
  }
  std::string bytes = read_file(path);
  return at::from_blob(bytes.data(), {static_cast<int64_t>(bytes.size()) / (height * width * 3), height, width, 3},
                       at::kByte)
      .clone();
}

}  // namespace sam3::test
