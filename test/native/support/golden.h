#pragma once
#include <ATen/core/Tensor.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "image/image_model.h"
#include "weights/json.h"
#include "weights/safetensors.h"

namespace sam3::test {

// A set of goldens and the program exported for its model. scripts/support/golden-set.mjs sets the variables that name
// them, SAM3_<set>_PROGRAM and SAM3_<set>_ROOT; a test case that needs them fails where they are not set.
struct GoldenModel {
  std::string program;  // a folder with program.pt and names.json
  std::string root;     // that of the set
  std::string weights;  // model/model.safetensors, or model/sam3.pt where the set has only that

  bool has(const std::string& file) const;  // whether the set has it
  Json cases(const std::string& family) const;
  std::unique_ptr<ImageModel> load(const std::string& dtype = "float32") const;  // on test_device()
};

// Where the models of the tests run: the CPU, or what SAM3_TEST_DEVICE names.
std::string test_device();

// The project's own goldens: what tests use that need a model, whatever it is.
const GoldenModel& test_model();
// The set that golden tests replay: the one that SAM3_GOLDEN names, else the project's own.
const GoldenModel& golden_model();

// The set of SAM 3.1 that golden tests replay: the one that SAM3_GOLDEN31 names, else the project's own.
const GoldenModel& multiplex_golden();
// Its model of `slots` slots, of which it has two, on test_device() in float32.
std::unique_ptr<ImageModel> load_multiplex(int64_t slots);
// Width and height of its clip, whose folder is named after them, and the decoded frames: uint8 [T,height,width,3].
std::pair<int64_t, int64_t> multiplex_clip_size();
at::Tensor multiplex_clip();

// The cases of a family of the replayed set, cases/<family>.json. Nothing where the set leaves it out, which is said in
// the test's output: only other sets than the project's own may.
std::optional<Json> golden_cases(const std::string& family);
void left_out(const std::string& what);
// What cases/heuristics.json has of a function of the reference; null as above.
const Json* golden_function(const std::string& function);

// The tensors of a family of cases, cases/<family>.safetensors.
class GoldenTensors {
 public:
  GoldenTensors(const GoldenModel& golden, const std::string& family);
  bool has(const std::string& key) const { return file_.entries().count(key) > 0; }
  at::Tensor at(const std::string& key) const;  // fails the test case where it is absent
  // A packed mask stack `key`.bits (rows of height * width bits, most significant first) -> bool [n,height,width].
  at::Tensor masks(const std::string& key, int64_t height, int64_t width) const;
  const SafetensorsFile& file() const { return file_; }

 private:
  SafetensorsFile file_;
};

// Nested arrays of numbers -> a float32 tensor of that shape.
at::Tensor tensor_of(const Json& value);

// The decoded frames of the clip that a recording (text_video, tracker_video) names: uint8 [T,height,width,3]. The
// bytes are in <root of decoded clips>/<clip>.rgb, see SAM3_<set>_CLIPS.
at::Tensor clip_of(const GoldenModel& golden, const Json& recording);

// Tokens of a text that a recorded run asks for, padded to the context: from SAM3_TEST_TOKENS.
std::vector<int64_t> token_ids(const std::string& text);

}  // namespace sam3::test
