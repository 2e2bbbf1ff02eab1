// The real name map on the real files of the set that is replayed.
#include <ATen/Functions.h>
#include <doctest/doctest.h>

#include "support/golden.h"
#include "support/support.h"
#include "weights/name_map.h"

using namespace sam3;
using namespace sam3::test;

namespace {

using Bound = std::map<std::string, at::Tensor>;

Bound bound_by(const NameMap& map, const std::string& path, at::ScalarType dtype) {
  Bound bound;
  const auto source = open_weights(path);
  map.bind(*source, at::kCPU, dtype, [&](const std::string& name, at::Tensor tensor) { bound.emplace(name, tensor); });
  return bound;
}

void check_equal(const Bound& a, const Bound& b) {
  REQUIRE(a.size() == b.size());
  for (const auto& [name, tensor] : a) {
    CAPTURE(name);
    REQUIRE(b.contains(name));
    CHECK(at::equal(tensor, b.at(name)));
  }
}

// The file's tensors in three shards and their index; returns the path of the index.
std::string shard(const std::string& path, const TempFolder& folder) {
  const auto source = open_weights(path);
  std::vector<std::pair<std::string, at::Tensor>> parts[3];
  std::string index = "{\"metadata\":{},\"weight_map\":{", separator;
  size_t next = 0;
  for (const auto& [name, info] : source->entries()) {
    const size_t part = next++ % 3;
    parts[part].emplace_back(name, source->read(name));
    index += separator + "\"" + name + "\":\"model-" + std::to_string(part) + ".safetensors\"";
    separator = ",";
  }
  for (size_t i = 0; i < 3; i++)
    folder.write("model-" + std::to_string(i) + ".safetensors", make_safetensors(parts[i]));
  return folder.write("model.safetensors.index.json", index + "}}");
}

}  // namespace

TEST_CASE("golden weights: the set's files, and shards of one, give the same program tensors") {
  const GoldenModel& golden = golden_model();
  const NameMap map = NameMap::load(golden.program + "/names.json");
  for (const std::string family : {"image", "tracker_video"})
    if (const auto cases = golden_cases(family))
      CHECK(map.architecture().image_size == cases->at("image_size").as_int("size"));
  const Bound exact = bound_by(map, golden.weights, at::kFloat);
  CHECK(exact.size() > 500);
  for (const std::string file : {"model/model.safetensors", "model/sam3.pt"}) {
    CAPTURE(file);
    if (golden.has(file))
      check_equal(exact, bound_by(map, golden.root + "/" + file, at::kFloat));
    else
      left_out(file);
  }
  const TempFolder folder;
  check_equal(exact, bound_by(map, shard(golden.weights, folder), at::kFloat));

  const Bound cast = bound_by(map, golden.weights, at::kBFloat16);
  size_t kept = 0;
  for (const auto& [name, tensor] : exact) {
    CAPTURE(name);
    const at::ScalarType dtype = cast.at(name).scalar_type();
    kept += dtype == at::kFloat;
    CHECK((dtype == at::kFloat || dtype == at::kBFloat16));
    CHECK(at::equal(cast.at(name), tensor.to(dtype)));
  }
  CHECK(kept < 20);  // tables only
}
