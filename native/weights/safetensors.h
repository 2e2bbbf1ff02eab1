#pragma once
#include <cstddef>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "weights/mapped_file.h"
#include "weights/weight_source.h"

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

}  // namespace sam3
