#pragma once
#include <cstddef>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "mapped_file.h"
#include "weight_source.h"

namespace sam3 {

struct SafetensorsEntry {
  WeightInfo info;
  size_t offset;  // of the data, from the start of the file
  size_t bytes;
};

// Reads and checks the header of a safetensors file that lies in memory; `path` is for messages. What it returns is
// safe to use: the tensors cover the data without gap or overlap, and each has exactly the bytes that its shape and
// dtype need. Format: 8 bytes little-endian header length, JSON header, data (github.com/huggingface/safetensors,
// README). Throws ERR_WEIGHTS_CORRUPT.
std::map<std::string, SafetensorsEntry> parse_safetensors(std::span<const std::byte> file, const std::string& path);

// One *.safetensors file.
class SafetensorsFile final : public WeightSource {
 public:
  explicit SafetensorsFile(const std::string& path);
  const std::map<std::string, WeightInfo>& entries() const override { return entries_; }
  at::Tensor read(const std::string& name) const override;
  const std::string& path() const override { return file_.path(); }
  void release(const std::string& name) const override;

 private:
  MappedFile file_;
  std::map<std::string, SafetensorsEntry> tensors_;
  std::map<std::string, WeightInfo> entries_;
};

// The files that a *.safetensors.index.json names, all in the folder of the index. Tensors of a shard that the index
// does not list are ignored. Throws ERR_MODEL_FORMAT (no index, or one that leaves its folder), ERR_MODEL_NOT_FOUND (a
// shard is absent), ERR_WEIGHTS_CORRUPT (a shard is damaged or lacks a tensor).
class ShardedSafetensors final : public WeightSource {
 public:
  explicit ShardedSafetensors(const std::string& index_path);
  const std::map<std::string, WeightInfo>& entries() const override { return entries_; }
  at::Tensor read(const std::string& name) const override { return shard_of(name).read(name); }
  const std::string& path() const override { return path_; }
  void release(const std::string& name) const override { shard_of(name).release(name); }

 private:
  const SafetensorsFile& shard_of(const std::string& name) const;
  std::string path_;
  std::map<std::string, SafetensorsFile> shards_;        // by file name
  std::map<std::string, const SafetensorsFile*> owner_;  // by tensor name
  std::map<std::string, WeightInfo> entries_;
};

}  // namespace sam3
