#include "network/text_cache.h"

#include <ATen/Functions.h>

#include <set>

namespace sam3 {

std::pair<at::Tensor, at::Tensor> TextCache::encode(const Program& program, const std::vector<Ids>& texts) {
  const int64_t length = program.architecture().text_context;
  const auto to_tensor = [&](const std::vector<Ids>& rows) {
    auto ids = at::empty({static_cast<int64_t>(rows.size()), length}, at::kLong);
    for (size_t i = 0; i < rows.size(); i++)
      std::copy(rows[i].begin(), rows[i].end(), ids.mutable_data_ptr<int64_t>() + i * length);
    return ids.to(program.target().device);
  };

  std::set<Ids> unknown;
  for (const Ids& text : texts)
    if (!entries_.count(text)) unknown.insert(text);
  std::map<Ids, at::Tensor> fresh;
  if (!unknown.empty()) {
    const std::vector<Ids> rows(unknown.begin(), unknown.end());
    const auto ids = to_tensor(rows);
    const auto features = program.encode_text(ids, ids.ne(0));
    for (size_t i = 0; i < rows.size(); i++) fresh[rows[i]] = features[static_cast<int64_t>(i)].clone();
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
  return {at::stack(out), to_tensor(texts).ne(0)};
}

}  // namespace sam3
