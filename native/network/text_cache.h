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

  // Features [T, L, C] and validity [T, L] of the texts, in order; only unknown texts are encoded, as one batch.
  std::pair<at::Tensor, at::Tensor> encode(const Program& program, const std::vector<Ids>& texts);

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
