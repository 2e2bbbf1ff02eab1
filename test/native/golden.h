#pragma once
#include <string>

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

}  // namespace sam3::test
