#pragma once
#include <ATen/core/Tensor.h>

#include <string>
#include <vector>

#include "json.h"
#include "safetensors.h"

namespace sam3::test {

// The golden model, from two variables that scripts/native-test.mjs sets where its fixtures are: SAM3_TEST_PROGRAM (a
// folder with program.pt and names.json) and SAM3_TEST_MODEL (one with model.safetensors and sam3.pt, the same weights
// twice).
struct GoldenModel {
  std::string program, model;
  explicit operator bool() const { return !program.empty() && !model.empty(); }
};

// Empty where the variables are not set; says so in the test's output.
GoldenModel golden_model();

// The tensors of a file of golden cases, cases/<name>.safetensors beside the golden model.
class GoldenTensors {
 public:
  GoldenTensors(const GoldenModel& golden, const std::string& name);
  bool has(const std::string& key) const { return file_.entries().count(key) > 0; }
  at::Tensor at(const std::string& key) const;  // fails the test case where it is absent
  // A packed mask stack `key`.bits (rows of height * width bits, most significant first) -> bool [n,height,width].
  at::Tensor masks(const std::string& key, int64_t height, int64_t width) const;

 private:
  SafetensorsFile file_;
};

// Nested arrays of numbers -> a float32 tensor of that shape.
at::Tensor tensor_of(const Json& value);

// The decoded frames of the golden clip, uint8 [T,height,width,3]: SAM3_TEST_CLIP, a file of their bytes. Undefined
// where the variable is not set.
at::Tensor golden_clip(int64_t height, int64_t width);

}  // namespace sam3::test
