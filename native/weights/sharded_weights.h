#pragma once
#include <map>
#include <memory>
#include <string>

#include "weights/weight_source.h"

namespace sam3 {

// The files that an index names (model.safetensors.index.json, pytorch_model.bin.index.json), all in the folder of the
// index. Tensors of a shard that the index does not list are ignored. Throws ERR_MODEL_FORMAT (no index, or one that
// leaves its folder), ERR_MODEL_NOT_FOUND (a shard is absent), ERR_WEIGHTS_CORRUPT (a shard is damaged or lacks a
// tensor).
class ShardedWeights final : public WeightSource {
 public:
  explicit ShardedWeights(const std::string& index_path);
  const std::map<std::string, WeightInfo>& entries() const override { return entries_; }
  at::Tensor read(const std::string& name) const override { return shard_of(name).read(name); }
  const std::string& path() const override { return path_; }
  void release(const std::string& name) const override { shard_of(name).release(name); }

 private:
  const WeightSource& shard_of(const std::string& name) const;
  std::string path_;
  std::map<std::string, std::unique_ptr<WeightSource>> shards_;  // by file name
  std::map<std::string, const WeightSource*> owner_;             // by tensor name
  std::map<std::string, WeightInfo> entries_;
};

}  // namespace sam3
