#include "weights/sharded_weights.h"

#include <filesystem>
#include <string_view>

#include "core/error.h"
#include "weights/json.h"
#include "weights/mapped_file.h"

namespace sam3 {

ShardedWeights::ShardedWeights(const std::string& index_path) : path_(index_path) {
  const MappedFile index(index_path);
  const std::filesystem::path folder = std::filesystem::path(index_path).parent_path();
  std::map<std::string, std::string> file_of;
  try {
    const std::string_view text(reinterpret_cast<const char*>(index.bytes().data()), index.size());
    const Json root = Json::parse(text);
    for (const auto& [tensor, file] : root.at("weight_map").as_object("weight_map"))
      file_of.emplace(tensor, file.as_string("weight_map." + tensor));
  } catch (const JsonError& error) {
    throw Error(ERR_MODEL_FORMAT, index_path + " is no index of sharded weights: " + error.what() + ".",
                "Give the path of model.safetensors or model.safetensors.index.json.");
  }
  for (const auto& [tensor, file] : file_of) {
    // A downloaded index must not reach outside its own folder.
    if (file.empty() || file == "." || file == ".." ||
        file.find_first_of(std::string_view("/\\\0", 3)) != std::string::npos)
      throw Error(ERR_MODEL_FORMAT,
                  index_path + ": only plain file names in the folder of the index are allowed as shards, not \"" +
                      file + "\".",
                  "Download the model from a source that you trust.");
    auto& shard = shards_[file];
    if (!shard) shard = open_weight_file((folder / file).string());
    const auto entry = shard->entries().find(tensor);
    if (entry == shard->entries().end())
      throw Error(ERR_WEIGHTS_CORRUPT,
                  shard->path() + " lacks the tensor " + tensor + " that " + index_path + " places there.",
                  "The files belong to different versions: download them all again.");
    owner_.emplace(tensor, shard.get());
    entries_.emplace(tensor, entry->second);
  }
}

const WeightSource& ShardedWeights::shard_of(const std::string& name) const {
  const auto place = owner_.find(name);
  if (place == owner_.end()) throw Error(ERR_INTERNAL, path_ + " has no tensor " + name);
  return *place->second;
}

}  // namespace sam3
