#include "support/golden.h"

#include <ATen/Functions.h>
#include <doctest/doctest.h>

#include <cstdlib>
#include <filesystem>
#include <functional>

#include "support/support.h"

namespace sam3::test {
namespace {

std::string setting(const std::string& name) {
  const char* value = std::getenv(name.c_str());
  REQUIRE_MESSAGE(value, name << " is not set: run these tests with node scripts/native-test.mjs");
  return value;
}

GoldenModel set_named(const std::string& name) {
  GoldenModel golden{setting("SAM3_" + name + "_PROGRAM"), setting("SAM3_" + name + "_ROOT"), {}};
  const std::string file = golden.has("model/model.safetensors") ? "model.safetensors" : "sam3.pt";
  golden.weights = golden.root + "/model/" + file;
  return golden;
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

bool GoldenModel::has(const std::string& file) const {
  return std::filesystem::exists(root + "/" + file);
}

Json GoldenModel::cases(const std::string& family) const {
  return Json::parse(read_file(root + "/cases/" + family + ".json"));
}

std::unique_ptr<ImageModel> GoldenModel::load(const std::string& dtype) const {
  ImageModelOptions options;
  options.device = test_device();
  options.dtype = dtype;
  const ProgramFiles files{program + "/program.pt", program + "/names.json", weights};
  return std::make_unique<ImageModel>(files, options, std::function<void(uint64_t, uint64_t)>{});
}

std::unique_ptr<ImageModel> load_multiplex(int64_t slots) {
  const std::string programs = setting("SAM3_GOLDEN31_PROGRAMS"), few = programs + "/few";
  const GoldenModel models[] = {
      {programs + "/all", multiplex_golden().root, multiplex_golden().root + "/model/model.safetensors"},
      {few, multiplex_golden().root, few + "/model.safetensors"},
  };
  for (const GoldenModel& model : models)
    if (NameMap::load(model.program + "/names.json").architecture().slots == slots) return model.load();
  FAIL("the set has no model of ", slots, " slots");
  return nullptr;
}

std::string test_device() {
  const char* named = std::getenv("SAM3_TEST_DEVICE");
  return named ? named : "cpu";
}

const GoldenModel& test_model() {
  static const GoldenModel golden = set_named("TEST");
  return golden;
}

const GoldenModel& golden_model() {
  static const GoldenModel golden = set_named("GOLDEN");
  return golden;
}

const GoldenModel& multiplex_golden() {
  static const GoldenModel golden{"", setting("SAM3_GOLDEN31_ROOT"), ""};
  return golden;
}

std::pair<int64_t, int64_t> multiplex_clip_size() {
  const std::string folder = setting("SAM3_GOLDEN31_CLIP");
  const size_t name = folder.rfind("clip_") + 5, by = folder.find('x', name);
  return {std::stoll(folder.substr(name)), std::stoll(folder.substr(by + 1))};
}

at::Tensor multiplex_clip() {
  const auto [width, height] = multiplex_clip_size();
  std::string bytes = read_file(setting("SAM3_GOLDEN31_PROGRAMS") + "/clip.rgb");
  const auto frames = static_cast<int64_t>(bytes.size()) / (height * width * 3);
  return at::from_blob(bytes.data(), {frames, height, width, 3}, at::kByte).clone();
}

void left_out(const std::string& what) {
  MESSAGE("the set in " << golden_model().root << " has no " << what);
  CHECK(golden_model().root != test_model().root);
}

std::optional<Json> golden_cases(const std::string& family) {
  const std::string file = "cases/" + family + ".json";
  if (golden_model().has(file)) return golden_model().cases(family);
  left_out(file);
  return {};
}

const Json* golden_function(const std::string& function) {
  static const std::optional<Json> all = golden_cases("heuristics");
  const Json* found = all ? all->find(function) : nullptr;
  if (!found) left_out("function " + function + " in cases/heuristics.json");
  return found;
}

GoldenTensors::GoldenTensors(const GoldenModel& golden, const std::string& family)
    : file_(golden.root + "/cases/" + family + ".safetensors") {}

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

at::Tensor clip_of(const GoldenModel& golden, const Json& recording) {
  const std::string name = &golden == &test_model() ? "TEST" : "GOLDEN";
  const int64_t height = recording.at("video_height").as_int("height"),
                width = recording.at("video_width").as_int("width"),
                frames = recording.at("num_frames").as_int("frames");
  std::string bytes =
      read_file(setting("SAM3_" + name + "_CLIPS") + "/" + recording.at("clip").as_string("clip") + ".rgb");
  REQUIRE(static_cast<int64_t>(bytes.size()) == frames * height * width * 3);
  return at::from_blob(bytes.data(), {frames, height, width, 3}, at::kByte).clone();
}

std::vector<int64_t> token_ids(const std::string& text) {
  static const Json known = Json::parse(read_file(setting("SAM3_TEST_TOKENS")));
  const Json* row = known.find(text);
  REQUIRE_MESSAGE(row, "no tokens of " << text);
  std::vector<int64_t> ids;
  for (const Json& id : row->as_array("ids")) ids.push_back(id.as_int("id"));
  return ids;
}

}  // namespace sam3::test
