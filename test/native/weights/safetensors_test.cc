#include "weights/safetensors.h"

#include <ATen/Functions.h>
#include <doctest/doctest.h>

#include <filesystem>

#include "core/error.h"
#include "support/support.h"
#include "weights/sharded_weights.h"

using namespace sam3;
using namespace sam3::test;

namespace {

std::string parse_error(const std::string& file) {
  return error_of([&] { parse_safetensors(bytes_of(file), "model.safetensors"); });
}

// Error of a file with one float32 tensor [2] (8 bytes) whose header member is `entry`.
std::string entry_error(const std::string& entry) {
  return parse_error(raw_safetensors("{\"t\":" + entry + "}", std::string(8, 'x')));
}

bool says(const std::string& error, const std::string& part) {
  INFO(error);
  return error.starts_with("ERR_WEIGHTS_CORRUPT: model.safetensors") && error.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("safetensors: tensors come back equal, as views of the mapped file") {
  const TempFolder folder;
  const at::Tensor a = at::randn({3, 4}), b = at::randn({5}).to(at::kBFloat16), c = at::arange(6).view({2, 1, 3}),
                   d = at::scalar_tensor(7.5);
  const at::Tensor e = at::empty({0, 3}), f = at::randn({2, 2}).to(at::kHalf);
  const auto path = folder.write(
      "m.safetensors",
      make_safetensors({{"a", a}, {"b", b}, {"c", c}, {"d", d}, {"e", e}, {"f", f}}, R"({"format":"pt"})"));
  const SafetensorsFile file(path);
  CHECK(file.path() == path);
  CHECK(file.entries().size() == 6);
  CHECK((file.entries().at("b").dtype == at::kBFloat16));
  CHECK(file.entries().at("c").shape == std::vector<int64_t>{2, 1, 3});
  CHECK(at::equal(file.read("a"), a));
  CHECK(at::equal(file.read("b"), b));
  CHECK(at::equal(file.read("c"), c));
  CHECK(at::equal(file.read("d"), d));
  CHECK(file.read("e").sizes() == at::IntArrayRef{0, 3});
  CHECK(at::equal(file.read("f"), f));
  CHECK(file.read("a").const_data_ptr() == file.read("a").const_data_ptr());  // no copy
  file.release("a");
  CHECK(at::equal(file.read("a"), a));
  CHECK(error_of([&] { file.read("nothing"); }).starts_with("ERR_INTERNAL"));
}

TEST_CASE("safetensors: data at an odd address is read through a copy") {
  const TempFolder folder;
  const at::Tensor flag = at::ones({1}, at::kByte), values = at::randn({3});
  const SafetensorsFile file(folder.write("m.safetensors", make_safetensors({{"flag", flag}, {"values", values}})));
  const at::Tensor read = file.read("values");
  CHECK(at::equal(read, values));
  CHECK(reinterpret_cast<uintptr_t>(read.const_data_ptr()) % 4 == 0);
}

TEST_CASE("safetensors: an empty model is valid") {
  CHECK(parse_safetensors(bytes_of(raw_safetensors("{}")), "m").empty());
  CHECK(parse_safetensors(bytes_of(raw_safetensors(R"({"__metadata__":{"a":"b"}}   )")), "m").empty());
}

TEST_CASE("safetensors: a damaged frame is refused") {
  const std::string valid = make_safetensors({{"t", at::ones({2})}});
  CHECK(says(parse_error(""), "0 bytes"));
  CHECK(says(parse_error("1234567"), "7 bytes"));
  CHECK(says(parse_error(valid.substr(0, 8)), "header claims"));
  CHECK(says(parse_error(valid.substr(0, 20)), "header claims"));
  CHECK(says(parse_error(valid.substr(0, valid.size() - 1)), "lie outside"));
  CHECK(says(parse_error(valid + "x"), "1 bytes after the last tensor"));
  CHECK(says(parse_error(std::string(8, '\xFF') + "{}"), "header claims"));
  CHECK(says(parse_error(std::string(8, '\0')), "does not begin with '{'"));
  CHECK(says(parse_error(raw_safetensors("[]")), "does not begin with '{'"));
  CHECK(says(parse_error(raw_safetensors(" {}")), "does not begin with '{'"));
  CHECK(says(parse_error(raw_safetensors("{")), "invalid JSON"));
  CHECK(says(parse_error(raw_safetensors("{}x")), "unexpected text"));
  CHECK(says(parse_error(raw_safetensors(R"({"__metadata__":{"a":1}})")), "__metadata__.a is not a string"));
}

TEST_CASE("safetensors: a damaged entry is refused, and named") {
  CHECK(says(entry_error(R"({"dtype":"F32","shape":[3],"data_offsets":[0,8]})"),
             "tensor \"t\": shape and dtype need 12 bytes"));
  CHECK(says(entry_error(R"({"dtype":"F16","shape":[2],"data_offsets":[0,8]})"), "need 4 bytes"));
  CHECK(says(entry_error(R"({"dtype":"F31","shape":[2],"data_offsets":[0,8]})"), "unknown dtype \"F31\""));
  CHECK(says(entry_error(R"({"dtype":1,"shape":[2],"data_offsets":[0,8]})"), "dtype is not a string"));
  CHECK(says(entry_error(R"({"shape":[2],"data_offsets":[0,8]})"), "\"dtype\" is missing"));
  CHECK(says(entry_error(R"({"dtype":"F32","data_offsets":[0,8]})"), "\"shape\" is missing"));
  CHECK(says(entry_error(R"({"dtype":"F32","shape":[2]})"), "\"data_offsets\" is missing"));
  CHECK(says(entry_error(R"({"dtype":"F32","shape":[2],"data_offsets":[0]})"), "not two numbers"));
  CHECK(says(entry_error(R"({"dtype":"F32","shape":[2],"data_offsets":[0,8,8]})"), "not two numbers"));
  CHECK(says(entry_error(R"({"dtype":"F32","shape":[2],"data_offsets":[4,12]})"), "lie outside"));
  CHECK(says(entry_error(R"({"dtype":"F32","shape":[2],"data_offsets":[8,0]})"), "lie outside"));
  CHECK(says(entry_error(R"({"dtype":"F32","shape":[2],"data_offsets":[-8,0]})"), "lie outside"));
  CHECK(says(entry_error(R"({"dtype":"F32","shape":[2],"data_offsets":[0,9223372036854775807]})"), "lie outside"));
  CHECK(says(entry_error(R"({"dtype":"F32","shape":[2],"data_offsets":[0,99999999999999999999]})"),
             "not a whole number"));
  CHECK(says(entry_error(R"({"dtype":"F32","shape":[2],"data_offsets":[0,8.0]})"), "not a whole number"));
  CHECK(says(entry_error(R"({"dtype":"F32","shape":[-2],"data_offsets":[0,8]})"), "negative or too large"));
  CHECK(says(entry_error(R"({"dtype":"F32","shape":[-1,-2],"data_offsets":[0,8]})"), "negative or too large"));
  CHECK(says(entry_error(R"({"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,8]})"), "too large"));
  CHECK(says(entry_error(R"({"dtype":"F32","shape":[4611686018427387904],"data_offsets":[0,8]})"), "too large"));
  CHECK(says(entry_error(R"({"dtype":"F32","shape":2,"data_offsets":[0,8]})"), "shape is not an array"));
  CHECK(says(entry_error("5"), "\"dtype\" is missing"));
  std::string many = "1";
  for (int i = 0; i < 64; i++) many += ",1";
  CHECK(says(entry_error("{\"dtype\":\"F32\",\"shape\":[" + many + ",2],\"data_offsets\":[0,8]}"), "64 dimensions"));
}

TEST_CASE("safetensors: overlaps, gaps and duplicate names are refused") {
  const auto two = [](const std::string& first, const std::string& second, const std::string& names = "ab") {
    const auto entry = [&](char name, const std::string& offsets) {
      return std::string("\"") + name + R"(":{"dtype":"F32","shape":[2],"data_offsets":)" + offsets + "}";
    };
    return parse_error(
        raw_safetensors("{" + entry(names[0], first) + "," + entry(names[1], second) + "}", std::string(20, 'x')));
  };
  CHECK(says(two("[0,8]", "[4,12]"), "overlap"));
  CHECK(says(two("[0,8]", "[0,8]"), "overlap"));
  CHECK(says(two("[0,8]", "[12,20]"), "belong to no tensor"));
  CHECK(says(two("[4,12]", "[12,20]"), "belong to no tensor"));
  CHECK(says(two("[0,8]", "[8,16]"), "4 bytes after the last tensor"));
  CHECK(says(two("[0,8]", "[8,16]", "aa"), "duplicate key \"a\""));
}

TEST_CASE("safetensors: what cannot be opened") {
  const TempFolder folder;
  CHECK(error_of([&] { SafetensorsFile(folder.path("absent")); }).starts_with("ERR_MODEL_NOT_FOUND: Cannot open "));
  CHECK(error_of([&] { SafetensorsFile(folder.path()); }).starts_with("ERR_MODEL_NOT_FOUND: "));
  CHECK(error_of([&] { SafetensorsFile(folder.write("empty", "")); }).starts_with("ERR_WEIGHTS_CORRUPT: "));
  CHECK(error_of([&] { SafetensorsFile(std::string("/\0x", 3)); }).starts_with("ERR_MODEL_NOT_FOUND: "));
}

TEST_CASE("safetensors: a sharded model reads from every shard") {
  const TempFolder folder;
  const at::Tensor a = at::randn({4}), b = at::randn({2, 2}), extra = at::randn({1});
  folder.write("model-00001-of-00002.safetensors", make_safetensors({{"a", a}}));
  folder.write("model-00002-of-00002.safetensors", make_safetensors({{"b", b}, {"not in the index", extra}}));
  const auto path = folder.write("model.safetensors.index.json", R"({"metadata":{"total_size":32},"weight_map":{
    "a":"model-00001-of-00002.safetensors","b":"model-00002-of-00002.safetensors"}})");
  const ShardedWeights model(path);
  CHECK(model.path() == path);
  CHECK(model.entries().size() == 2);
  CHECK(at::equal(model.read("a"), a));
  CHECK(at::equal(model.read("b"), b));
  model.release("a");
  CHECK(error_of([&] { model.read("not in the index"); }).starts_with("ERR_INTERNAL"));
}

TEST_CASE("sharded_weights: shards of torch.save are read too, and an index is no shard") {
  const TempFolder folder;
  folder.write("pytorch_model-00001-of-00002.bin", read_file(fixture("flat.pt")));
  folder.write("pytorch_model-00002-of-00002.bin", make_safetensors({{"b", at::ones({1})}}));
  const auto path = folder.write("pytorch_model.bin.index.json", R"({"weight_map":{
    "linear.bias":"pytorch_model-00001-of-00002.bin","b":"pytorch_model-00002-of-00002.bin"}})");
  const auto model = open_weights(path);
  CHECK(model->entries().size() == 2);
  CHECK(at::equal(model->read("linear.bias"), at::tensor({-1.0f, 0.5f})));
  const auto self = folder.write("self.json", R"({"weight_map":{"a":"self.json"}})");
  CHECK(error_of([&] { open_weights(self); }).starts_with("ERR_MODEL_FORMAT"));
}

TEST_CASE("safetensors: a shard index is checked") {
  const TempFolder folder;
  folder.write("x.safetensors", make_safetensors({{"a", at::ones({1})}}));
  std::filesystem::create_directory(folder.path("inner"));
  const auto open_index = [&](const std::string& json) {
    const auto path = folder.write("inner/../m.index.json", json);
    return error_of([&] { ShardedWeights sharded(path); });
  };
  CHECK(open_index("{}").find("\"weight_map\" is missing") != std::string::npos);
  CHECK(open_index("{}").starts_with("ERR_MODEL_FORMAT"));
  CHECK(open_index("not json").starts_with("ERR_MODEL_FORMAT"));
  CHECK(open_index(R"({"weight_map":{"a":1}})").starts_with("ERR_MODEL_FORMAT"));
  for (const std::string name : {"", ".", "..", "/x.safetensors", "../x.safetensors", "inner/../x.safetensors",
                                 "a\\\\b", "x.safetensors\\u0000"}) {
    CAPTURE(name);
    const auto error = open_index(R"({"weight_map":{"a":")" + name + "\"}}");
    CHECK(error.starts_with("ERR_MODEL_FORMAT"));
    CHECK(error.find("only plain file names") != std::string::npos);
  }
  CHECK(open_index(R"({"weight_map":{"a":"absent.safetensors"}})").starts_with("ERR_MODEL_NOT_FOUND"));
  CHECK(open_index(R"({"weight_map":{"b":"x.safetensors"}})").find("lacks the tensor b") != std::string::npos);
}

TEST_CASE("safetensors: random changes of a valid file never lead outside of it") {
  const std::string valid = make_safetensors(
      {{"vit.w", at::ones({2, 3})}, {"b", at::ones({4}).to(at::kBFloat16)}, {"i", at::ones({1}, at::kLong)}},
      R"({"format":"pt"})");
  std::mt19937_64 random(2);
  int accepted = 0;
  for (int i = 0; i < fuzz_cases(20'000); i++) {
    const std::string changed = mutate(valid, random);
    const std::vector<char> file(changed.begin(), changed.end());
    std::map<std::string, SafetensorsEntry> tensors;
    try {
      tensors = parse_safetensors(std::as_bytes(std::span(file)), "fuzz");
      accepted++;
    } catch (const Error& error) {
      REQUIRE(error.code() == ERR_WEIGHTS_CORRUPT);
    }
    size_t covered = 0;
    for (const auto& [name, entry] : tensors) {
      REQUIRE(entry.offset <= file.size());
      REQUIRE(entry.bytes <= file.size() - entry.offset);
      covered += entry.bytes;
    }
    REQUIRE(covered <= file.size());
  }
  MESSAGE("accepted after the change: " << accepted);
}
