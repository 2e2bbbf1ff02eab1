#include "weights/name_map.h"

#include <ATen/Functions.h>

#include <algorithm>
#include <array>
#include <map>
#include <optional>
#include <string_view>

#include "core/error.h"
#include "weights/json.h"
#include "weights/mapped_file.h"
#include "weights/tensor_view.h"
#include "weights/weight_plan.h"

namespace sam3 {
namespace {

constexpr std::string_view kFormat = "sam3-names/2", kCheckpointFormat = "sam3-checkpoint/2";
constexpr std::array<const char*, kNamings> kNamingKeys{"transformers", "meta"};

void check_format(const Json& root, std::string_view expected) {
  if (const std::string& format = root.at("format").as_string("format"); format != expected)
    throw JsonError("format is \"" + format + "\", this engine reads \"" + std::string(expected) + "\"");
}

[[noreturn]] void unreadable(const std::string& path, const std::string& cause) {
  throw Error(ERR_MODEL_FORMAT, path + ": " + cause + ".", "Export the program again with scripts/export.");
}

std::vector<int64_t> shape_of(const Json& json) {
  std::vector<int64_t> shape;
  for (const Json& size : json.as_array("shape")) shape.push_back(size.as_int("a size in shape"));
  if (checked_numel(shape) < 0) throw JsonError("shape is negative or too large");
  return shape;
}

std::vector<std::string> strings_of(const Json& json, const std::string& what) {
  std::vector<std::string> out;
  for (const Json& item : json.as_array(what)) out.push_back(item.as_string(what));
  return out;
}

Architecture architecture_of(const Json& root) {
  const Json& json = root.at("architecture");
  const auto size = [&](const char* key) {
    const int64_t value = json.at(key).as_int(key);
    if (value <= 0) throw JsonError(std::string(key) + " is not positive");
    return value;
  };
  return {size("image_size"),    size("patch_size"),  size("window_size"), size("vision_width"),
          size("vision_layers"), size("hidden_size"), size("num_queries"), size("decoder_heads"),
          size("text_context"),  size("text_vocab"),  size("memory_size"), json.find("slots") ? size("slots") : 0};
}

// `*` stands for any text, also none.
bool matches(std::string_view name, std::string_view pattern) {
  const size_t star = pattern.find('*');
  if (star == std::string_view::npos) return name == pattern;
  const std::string_view head = pattern.substr(0, star), rest = pattern.substr(star + 1);
  if (!name.starts_with(head)) return false;
  for (size_t at = head.size(); at <= name.size(); at++)
    if (matches(name.substr(at), rest)) return true;
  return false;
}

Recipe::Operation parse_operation(const std::string& name) {
  using Operation = Recipe::Operation;
  if (name == "copy") return Operation::copy;
  if (name == "concat") return Operation::concat;
  if (name == "drop_first") return Operation::drop_first;
  if (name == "reshape") return Operation::reshape;
  throw JsonError("unknown op \"" + name + "\"");
}

Recipe recipe_of(const Json& source, const std::vector<int64_t>& shape) {
  using Operation = Recipe::Operation;
  Recipe recipe;
  recipe.operation = parse_operation(source.at("op").as_string("op"));
  recipe.from = strings_of(source.at("from"), "from");
  if (recipe.operation == Operation::reshape) recipe.source_shape = shape_of(source.at("source_shape"));
  if (recipe.from.empty() || (recipe.operation != Operation::concat && recipe.from.size() != 1))
    throw JsonError("from has the wrong number of names");
  if (recipe.operation == Operation::reshape && checked_numel(recipe.source_shape) != checked_numel(shape))
    throw JsonError("source_shape has another number of elements than shape");
  return recipe;
}

}  // namespace

CheckpointHeader parse_checkpoint(const std::string& sam3_json, const std::string& path) {
  try {
    const Json root = Json::parse(sam3_json);
    check_format(root, kCheckpointFormat);
    CheckpointHeader header{architecture_of(root), {}};
    for (std::string& name : strings_of(root.at("fp32"), "fp32")) header.keep_float32.insert(std::move(name));
    return header;
  } catch (const JsonError& error) {
    throw Error(ERR_MODEL_FORMAT, path + ": sam3.json: " + error.what() + ".",
                "Make the checkpoint again with `python -m scripts.export checkpoint`.");
  }
}

NameMap NameMap::load(const std::string& names_json_path) {
  const MappedFile file(names_json_path);
  return parse({reinterpret_cast<const char*>(file.bytes().data()), file.size()}, names_json_path);
}

NameMap NameMap::parse(const std::string& json_text, const std::string& path) {
  NameMap map;
  map.path_ = path;
  std::string where;
  try {
    const Json root = Json::parse(json_text);
    check_format(root, kFormat);
    map.architecture_ = architecture_of(root);
    for (const Json& json : root.at("tensors").as_array("tensors")) {
      ProgramTensor tensor;
      tensor.name = json.at("name").as_string("name");
      where = "tensor " + tensor.name + ": ";
      tensor.shape = shape_of(json.at("shape"));
      tensor.keep_float32 = json.at("fp32").as_bool("fp32");
      for (size_t naming = 0; naming < kNamings; naming++)
        if (const Json* recipe = json.find(kNamingKeys[naming]))
          tensor.recipes[naming] = recipe_of(*recipe, tensor.shape);
      if (std::all_of(tensor.recipes.begin(), tensor.recipes.end(), [](const Recipe& r) { return r.from.empty(); }))
        throw JsonError("it has no name in any file");
      map.tensors_.push_back(std::move(tensor));
    }
    where = "";
    for (size_t naming = 0; naming < kNamings; naming++)
      if (const Json* patterns = root.at("ignored").find(kNamingKeys[naming]))
        map.ignored_[naming] = strings_of(*patterns, "ignored");
  } catch (const JsonError& error) {
    unreadable(path, where + error.what());
  }
  return map;
}

std::optional<std::vector<int64_t>> Recipe::result_shape(const std::vector<std::vector<int64_t>>& sources) const {
  std::vector<int64_t> shape = sources[0];
  switch (operation) {
    case Operation::copy:
    case Operation::reshape: return shape;
    case Operation::concat:
      for (size_t i = 1; i < sources.size(); i++) {
        if (shape.empty() || sources[i].size() != shape.size() ||
            !std::equal(shape.begin() + 1, shape.end(), sources[i].begin() + 1))
          return std::nullopt;
        shape[0] += sources[i][0];
      }
      return shape;
    case Operation::drop_first:
      if (shape.size() < 2 || shape[1] < 1) return std::nullopt;
      shape[1]--;
      return shape;
  }
  return std::nullopt;
}

std::string NameMap::ignored_by(Naming naming, const std::string& name) const {
  for (const std::string& pattern : ignored_[naming])
    if (matches(name, pattern)) return pattern;
  return "";
}

namespace {

uint64_t bytes_of(const WeightInfo& info) {
  uint64_t bytes = c10::elementSize(info.dtype);
  for (const int64_t size : info.shape) bytes *= static_cast<uint64_t>(size);
  return bytes;
}

// Copies into a fresh tensor, so that nothing refers to the mapping any more. Each source is cast where it arrives: on
// the device, which casts faster than the host.
at::Tensor assemble(const WeightSource& source, const std::map<std::string, std::string>& names,
                    const ProgramTensor& tensor, const Recipe& recipe, at::Device device, at::ScalarType dtype) {
  using Operation = Recipe::Operation;
  const at::ScalarType wanted = tensor.keep_float32 ? at::kFloat : dtype;
  at::Tensor out = at::empty(tensor.shape, at::TensorOptions(wanted).device(device));
  int64_t row = 0;
  for (const std::string& canonical : recipe.from) {
    const std::string& name = names.at(canonical);
    at::Tensor piece = source.read(name);
    at::Tensor place = out;
    if (recipe.operation == Operation::concat) place = out.narrow(0, row, piece.size(0));
    row += recipe.operation == Operation::concat ? piece.size(0) : 0;
    if (recipe.operation == Operation::drop_first) piece = piece.narrow(1, 1, piece.size(1) - 1);
    if (recipe.operation == Operation::reshape) piece = piece.reshape(tensor.shape);
    place.copy_(piece.to(device));
    source.release(name);
  }
  return out;
}

}  // namespace

void NameMap::bind(const WeightSource& source, const WeightPlan& plan, at::Device device, at::ScalarType dtype,
                   const std::function<void(const std::string&, at::Tensor)>& bind,
                   const std::function<void(uint64_t, uint64_t)>& progress) const {
  if (plan.problem) throw *plan.problem;
  const auto& names = plan.set.names;
  const auto bytes = [&](const Recipe& recipe) {
    uint64_t sum = 0;
    for (const std::string& name : recipe.from) sum += bytes_of(source.entries().at(names.at(name)));
    return sum;
  };
  uint64_t done = 0, total = 0;
  for (const ProgramTensor& tensor : tensors_)
    if (plan.has(tensor)) total += bytes(tensor.recipes[plan.set.layout->naming]);
  for (const ProgramTensor& tensor : tensors_) {
    if (!plan.has(tensor)) continue;
    const Recipe& recipe = tensor.recipes[plan.set.layout->naming];
    bind(tensor.name, translate(ERR_INTERNAL, "Loading the tensor " + tensor.name + " from " + source.path(),
                                [&] { return assemble(source, names, tensor, recipe, device, dtype); }));
    done += bytes(recipe);
    if (progress) progress(done, total);
  }
}

void NameMap::bind(const WeightSource& source, at::Device device, at::ScalarType dtype,
                   const std::function<void(const std::string&, at::Tensor)>& bind,
                   const std::function<void(uint64_t, uint64_t)>& progress) const {
  this->bind(source, plan_weights(*this, source), device, dtype, bind, progress);
}

}  // namespace sam3
