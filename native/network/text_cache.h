#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <list>
#include <map>
#include <vector>

#include "network/program.h"

namespace sam3 {

// Text features by token ids. A service asks for the same few words for every image, and encoding them again would
// cost as much as a small image. Least recently used entries leave first.
class TextCache {
 public:
  using Ids = std::vector<int64_t>;  // padded with 0 to the context length

  explicit TextCache(size_t capacity) : capacity_(capacity) {}

  // Those of the texts that have to be encoded, each once.
  std::vector<Ids> unknown(const std::vector<Ids>& texts) const;
  // Features [T, L, C] of the texts, in order. `ids` [N, L]: unknown(texts), on the network's device.
  at::Tensor encode(const Program& program, const std::vector<Ids>& texts, const at::Tensor& ids);

  size_t size() const { return entries_.size(); }

 private:
  struct Entry {
    at::Tensor features;  // [L, C]
    std::list<Ids>::iterator age;
  };
  size_t capacity_;
  std::list<Ids> order_;  // newest first
  std::map<Ids, Entry> entries_;
};

}  // namespace sam3
