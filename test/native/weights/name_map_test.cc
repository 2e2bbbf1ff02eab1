#include "weights/name_map.h"

#include <ATen/Functions.h>
#include <doctest/doctest.h>

#include "support/support.h"
#include "weights/safetensors.h"

using namespace sam3;
using namespace sam3::test;

namespace {

constexpr const char* kArchitecture =
    R"({"image_size":1008,"patch_size":14,"window_size":24,"vision_width":1024,"vision_layers":32,"hidden_size":256,"num_queries":200,"decoder_heads":8,)"
    R"("text_context":32,"text_vocab":49408,"memory_size":64})";

// A map with one tensor of each kind of recipe.
std::string names_json() {
  std::string json = R"({"format":"sam3-names/2","architecture":)";
  json.append(kArchitecture);
  json.append(R"(,"config_checks":{"a.b":8},"tensors":[
    {"name":"plain","shape":[2,3],"part":"x","fp32":false,"transformers":{"op":"copy","from":["t.plain"]},"meta":{"op":"copy","from":["m.plain"]}},
    {"name":"qkv","shape":[6,2],"part":"x","fp32":false,"transformers":{"op":"concat","from":["t.q","t.k","t.v"]},"meta":{"op":"copy","from":["m.qkv"]}},
    {"name":"proj","shape":[3,2],"part":"x","fp32":false,"transformers":{"op":"copy","from":["t.proj"]},"meta":{"op":"concat","from":["m.proj.0","m.proj.1"]}},
    {"name":"pos","shape":[1,4,2],"part":"x","fp32":false,"transformers":{"op":"copy","from":["t.pos"]},"meta":{"op":"drop_first","from":["m.pos"]}},
    {"name":"table","shape":[4],"part":"x","fp32":true,"transformers":{"op":"copy","from":["t.table"]},"meta":{"op":"reshape","from":["m.table"],"source_shape":[1,2,2]}},
    {"name":"bias","shape":[3],"part":"x","fp32":false,"transformers":{"op":"copy","from":["t.bias"]},"meta":{"op":"copy","from":["m.bias"]}}],
    "ignored":{"transformers":["t.unused"],"meta":["m.points.*","*freqs_cis"]}})");
  return json;
}

using Tensors = std::vector<std::pair<std::string, at::Tensor>>;

struct Weights {
  at::Tensor plain = at::randn({2, 3}), qkv = at::randn({6, 2}), proj = at::randn({3, 2}), pos = at::randn({1, 4, 2}),
             table = at::randn({4}), bias = at::randn({3});
  Tensors transformers() const {
    return {{"t.plain", plain},
            {"t.q", qkv.narrow(0, 0, 2)},
            {"t.k", qkv.narrow(0, 2, 2)},
            {"t.v", qkv.narrow(0, 4, 2)},
            {"t.proj", proj},
            {"t.pos", pos},
            {"t.table", table},
            {"t.bias", bias},
            {"t.unused", at::ones({1})}};
  }
  Tensors meta() const {
    return {{"m.plain", plain},
            {"m.qkv", qkv},
            {"m.proj.0", proj.narrow(0, 0, 1)},
            {"m.proj.1", proj.narrow(0, 1, 2)},
            {"m.pos", at::cat({at::zeros({1, 1, 2}), pos}, 1)},
            {"m.table", table.view({1, 2, 2})},
            {"m.bias", bias},
            {"m.points.a.b", at::ones({1})},
            {"x.freqs_cis", at::ones({1})}};
  }
};

class Fixture {
 public:
  const NameMap map = NameMap::parse(names_json(), "names.json");
  // Binds a file of these tensors; the file and its mapping are gone when it returns.
  std::map<std::string, at::Tensor> bind(const Tensors& tensors, at::ScalarType dtype = at::kFloat) const {
    const TempFolder folder;
    std::map<std::string, at::Tensor> bound;
    const SafetensorsFile source(folder.write("m.safetensors", make_safetensors(tensors)));
    map.bind(source, at::kCPU, dtype,
             [&](const std::string& name, at::Tensor tensor) { CHECK(bound.emplace(name, std::move(tensor)).second); });
    return bound;
  }
  std::string mismatch(Tensors tensors) const {
    return error_of([&] { bind(tensors); });
  }
};

Tensors without(Tensors tensors, const std::string& name) {
  std::erase_if(tensors, [&](const auto& item) { return item.first == name; });
  return tensors;
}

Tensors with(Tensors tensors, const std::string& name, const at::Tensor& tensor) {
  tensors = without(std::move(tensors), name);
  tensors.emplace_back(name, tensor);
  return tensors;
}

bool holds(const std::string& text, const std::string& part) {
  INFO(text);
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("name_map: both namings make the same tensors, which outlive the file") {
  const Fixture fixture;
  const Weights weights;
  for (const auto& bound : {fixture.bind(weights.transformers()), fixture.bind(weights.meta())}) {
    REQUIRE(bound.size() == 6);
    CHECK(at::equal(bound.at("plain"), weights.plain));
    CHECK(at::equal(bound.at("qkv"), weights.qkv));
    CHECK(at::equal(bound.at("proj"), weights.proj));
    CHECK(at::equal(bound.at("pos"), weights.pos));
    CHECK(at::equal(bound.at("table"), weights.table));
    CHECK(at::equal(bound.at("bias"), weights.bias));
    for (const auto& [name, tensor] : bound) CHECK(tensor.is_contiguous());
  }
}

TEST_CASE("name_map: tensors are cast, but not tables") {
  const Fixture fixture;
  const Weights weights;
  for (const at::ScalarType dtype : {at::kBFloat16, at::kHalf, at::kFloat}) {
    const auto bound = fixture.bind(weights.transformers(), dtype);
    CHECK(at::equal(bound.at("plain"), weights.plain.to(dtype)));
    CHECK(at::equal(bound.at("qkv"), weights.qkv.to(dtype)));
    CHECK(at::equal(bound.at("table"), weights.table));
    CHECK(at::equal(bound.at("bias"), weights.bias.to(dtype)));
  }
  Tensors half = weights.transformers();
  for (auto& [name, tensor] : half)
    if (tensor.is_floating_point()) tensor = tensor.to(at::kBFloat16);
  const auto bound = fixture.bind(half, at::kFloat);
  CHECK(at::equal(bound.at("qkv"), weights.qkv.to(at::kBFloat16).to(at::kFloat)));
  CHECK((bound.at("table").scalar_type() == at::kFloat));
}

TEST_CASE("name_map: fp32 to bf16 rounds to nearest even and keeps what is special") {
  const Fixture fixture;
  const float inf = std::numeric_limits<float>::infinity();
  const at::Tensor values =
      at::tensor({1.00390625f, 1.01171875f, -0.0f, inf, std::nanf(""), 3.4e38f}).view({2, 3});  // two ties, ...
  const at::Tensor got = fixture.bind(with(Weights().transformers(), "t.plain", values), at::kBFloat16)
                             .at("plain")
                             .to(at::kFloat)
                             .flatten();
  CHECK(got[0].item<float>() == 1.0f);
  CHECK(got[1].item<float>() == 1.015625f);
  CHECK(std::signbit(got[2].item<float>()));
  CHECK(got[3].item<float>() == inf);
  CHECK(std::isnan(got[4].item<float>()));
  CHECK(got[5].item<float>() == inf);
}

TEST_CASE("name_map: progress reaches the bytes of all tensors") {
  const Fixture fixture;
  const TempFolder folder;
  const SafetensorsFile source(folder.write("m.safetensors", make_safetensors(Weights().transformers())));
  std::vector<std::pair<uint64_t, uint64_t>> steps;
  fixture.map.bind(
      source, at::kCPU, at::kFloat, [](const std::string&, const at::Tensor&) {},
      [&](uint64_t done, uint64_t total) { steps.emplace_back(done, total); });
  REQUIRE(steps.size() == 6);
  for (size_t i = 1; i < steps.size(); i++) CHECK(steps[i].first > steps[i - 1].first);
  CHECK(steps.back().first == steps.back().second);
  CHECK(steps.back().second == 4 * (6 + 12 + 6 + 8 + 4 + 3));
}

TEST_CASE("name_map: an error lists all tensors that do not fit, before any is read") {
  const Fixture fixture;
  Tensors tensors = Weights().transformers();
  tensors = with(without(tensors, "t.k"), "t.extra", at::ones({1}));
  tensors = with(with(tensors, "t.proj", at::ones({2, 3})), "t.pos", at::ones({8}));
  const auto error = fixture.mismatch(tensors);
  CHECK(error.starts_with("ERR_WEIGHTS_MISMATCH: "));
  CHECK(holds(error, "transformers names"));
  CHECK(holds(error, "missing (1):\n  t.k"));
  CHECK(holds(error, "unexpected (1):\n  t.extra"));
  CHECK(holds(error, "wrong shape (2):"));
  CHECK(holds(error, "t.proj [2, 3] does not make proj [3, 2]"));
  CHECK(holds(error, "t.pos [8] does not make pos [1, 4, 2]"));
  CHECK(holds(error, "names.json"));
  const auto typed = fixture.mismatch(with(Weights().transformers(), "t.bias", at::arange(3)));
  CHECK(typed.starts_with("ERR_WEIGHTS_MISMATCH: "));
  CHECK(holds(typed, "not floating-point (1):\n  t.bias Long"));
}

TEST_CASE("name_map: each recipe refuses shapes that it cannot use") {
  const Fixture fixture;
  const Weights weights;
  CHECK(holds(fixture.mismatch(with(weights.transformers(), "t.q", at::ones({3, 2}))),
              "t.q [3, 2] + t.k [2, 2] + t.v [2, 2] does not make qkv [6, 2]"));
  CHECK(holds(fixture.mismatch(with(weights.transformers(), "t.q", at::ones({2, 3}))), "does not make qkv"));
  CHECK(holds(fixture.mismatch(with(weights.transformers(), "t.q", at::scalar_tensor(1))), "does not make qkv"));
  CHECK(holds(fixture.mismatch(with(weights.meta(), "m.proj.1", at::ones({2, 3}))), "does not make proj"));
  CHECK(holds(fixture.mismatch(with(weights.meta(), "m.proj.1", at::ones({4}))), "does not make proj"));
  CHECK(holds(fixture.mismatch(with(weights.meta(), "m.pos", at::ones({1, 4, 2}))), "does not make pos"));
  CHECK(holds(fixture.mismatch(with(weights.meta(), "m.pos", at::ones({1}))), "does not make pos"));
  CHECK(holds(fixture.mismatch(with(weights.meta(), "m.table", at::ones({4}))), "does not make table"));
  CHECK(holds(fixture.mismatch(with(weights.meta(), "m.extra", at::ones({4}))), "meta names"));
}

TEST_CASE("name_map: weights of another model are no SAM 3") {
  const Fixture fixture;
  const auto error = fixture.mismatch({{"bert.embeddings", at::ones({2})}, {"bert.pooler", at::ones({2})}});
  CHECK(error.starts_with("ERR_MODEL_FORMAT: "));
  CHECK(holds(error, "bert.embeddings"));
  Tensors many;
  for (int i = 0; i < 100; i++) many.emplace_back("x." + std::to_string(i), at::ones({1}));
  CHECK(holds(fixture.mismatch(many), "... and 80 more"));
}

TEST_CASE("name_map: the architecture is read from a map and from a checkpoint's sam3.json") {
  const Fixture fixture;
  CHECK(fixture.map.architecture().image_size == 1008);
  CHECK(fixture.map.architecture().memory_size == 64);
  const auto sam3_json = [](const std::string& format, const std::string& architecture) {
    return R"({"format":")" + format + R"(","fp32":["a.b"],"architecture":)" + architecture + "}";
  };
  const CheckpointHeader parsed = parse_checkpoint(sam3_json("sam3-checkpoint/2", kArchitecture), "x.pt");
  CHECK(parsed.architecture.window_size == 24);
  CHECK(parsed.architecture.text_vocab == 49408);
  CHECK((parsed.keep_float32 == std::set<std::string>{"a.b"}));
  const auto refusal = [](const std::string& text) { return error_of([&] { parse_checkpoint(text, "x.pt"); }); };
  CHECK(refusal("{}").starts_with("ERR_MODEL_FORMAT: x.pt: sam3.json: \"format\" is missing"));
  CHECK(holds(refusal(sam3_json("sam3-checkpoint/1", kArchitecture)), "this engine reads \"sam3-checkpoint/2\""));
  CHECK(holds(refusal(sam3_json("sam3-checkpoint/2", R"({"image_size":0})")), "image_size is not positive"));
  CHECK(refusal("nonsense").starts_with("ERR_MODEL_FORMAT"));
}

TEST_CASE("name_map: programs and checkpoints of SAM 3.1 are told by their slots") {
  const std::string slots = R"({"slots":16,)" + std::string(kArchitecture).substr(1);
  std::string map = names_json();
  CHECK(NameMap::parse(map, "names.json").architecture().slots == 0);
  map.replace(map.find(kArchitecture), std::string(kArchitecture).size(), slots);
  CHECK(NameMap::parse(map, "names.json").architecture().slots == 16);
  const std::string header = R"({"format":"sam3-checkpoint/2","fp32":[],"architecture":)" + slots + "}";
  CHECK(parse_checkpoint(header, "x.pt").architecture.slots == 16);
}

TEST_CASE("name_map: a broken map names what is wrong") {
  const auto parse_changed = [](const std::string& from, const std::string& to) {
    std::string text = names_json();
    const size_t at = text.find(from);
    REQUIRE(at != std::string::npos);
    text.replace(at, from.size(), to);
    const auto error = error_of([&] { NameMap::parse(text, "names.json"); });
    CHECK(error.starts_with("ERR_MODEL_FORMAT: names.json: "));
    return error;
  };
  CHECK(holds(parse_changed("sam3-names/2", "sam3-names/1"), "sam3-names/1"));
  CHECK(holds(parse_changed("\"op\":\"concat\"", "\"op\":\"magic\""), "tensor qkv: unknown op \"magic\""));
  CHECK(holds(parse_changed("\"t.q\",\"t.k\",\"t.v\"", ""), "wrong number of names"));
  CHECK(holds(parse_changed("[\"t.plain\"]", "[\"t.plain\",\"t.q\"]"), "wrong number of names"));
  CHECK(holds(parse_changed(",\"source_shape\":[1,2,2]", ""), "\"source_shape\" is missing"));
  CHECK(holds(parse_changed("[1,2,2]", "[1,2,3]"), "source_shape has another number of elements"));
  CHECK(holds(parse_changed("\"shape\":[6,2]", "\"shape\":[-6,2]"), "shape is negative"));
  CHECK(holds(parse_changed("\"fp32\":false,", ""), "\"fp32\" is missing"));
  const TempFolder folder;
  CHECK(error_of([&] { NameMap::load(folder.path("names.json")); }).starts_with("ERR_MODEL_NOT_FOUND"));
  CHECK(NameMap::load(folder.write("names.json", names_json())).architecture().patch_size == 14);
}
