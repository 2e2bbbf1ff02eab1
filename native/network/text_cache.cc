#include "network/text_cache.h"

#include <ATen/Functions.h>

#include <set>

namespace sam3 {

std::vector<TextCache::Ids> TextCache::unknown(const std::vector<Ids>& texts) const {
  std::set<Ids> unknown;
  for (const Ids& text : texts)
    if (!entries_.count(text)) unknown.insert(text);
  return {unknown.begin(), unknown.end()};
}

at::Tensor TextCache::encode(const Program& program, const std::vector<Ids>& texts, const at::Tensor& ids) {
  std::map<Ids, at::Tensor> fresh;
  if (const std::vector<Ids> rows = unknown(texts); !rows.empty()) {
    const auto features = program.encode_text(ids, ids.ne(0));
    // Copies of their own, or one entry would hold the memory of all.
    for (size_t i = 0; i < rows.size(); i++)
      fresh[rows[i]] = rows.size() == 1 ? features[0] : features[static_cast<int64_t>(i)].clone();
  }

  std::vector<at::Tensor> out;
  for (const Ids& text : texts) {
    const auto made = fresh.find(text);
    out.push_back(made != fresh.end() ? made->second : entries_.at(text).features);
  }
  for (const Ids& text : texts) {  // after the look-ups: keeping a new entry may drop an old one
    auto known = entries_.find(text);
    if (known != entries_.end()) {
      order_.splice(order_.begin(), order_, known->second.age);
      continue;
    }
    order_.push_front(text);
    entries_[text] = {fresh.at(text), order_.begin()};
    if (entries_.size() > capacity_) {
      entries_.erase(order_.back());
      order_.pop_back();
    }
  }
  return at::stack(out);
}

}  // namespace sam3
