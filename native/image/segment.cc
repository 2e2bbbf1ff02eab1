#include <algorithm>

#include "core/error.h"
#include "image/segment_batch.h"

namespace sam3 {

int64_t ImageModel::pairs_per_batch() const {
  // What one pair takes at the widest point, in elements: about four pixel maps of the mask decoder and the box bias of
  // the decoder's attention, twice. Measured against the allocator at the true configuration.
  const auto& a = program_.architecture();
  const int64_t elements = 4 * 16 * grid_ * grid_ * a.hidden_size + 2 * a.decoder_heads * a.num_queries * grid_ * grid_;
  const int64_t bytes = elements * static_cast<int64_t>(c10::elementSize(program_.target().dtype));
  return std::max<int64_t>(1, memory_budget_ / bytes);
}

void ImageModel::check(const std::vector<SegmentItem>& items) const {
  program_.parts().require_detector();
  const auto context = static_cast<size_t>(program_.architecture().text_context);
  for (const auto& item : items)
    for (const auto& prompt : item.prompts)
      if (prompt.ids.size() != context || prompt.boxes.size() != 4 * prompt.labels.size())
        throw Error(ERR_INVALID_ARGUMENT,
                    "A prompt needs " + std::to_string(context) + " token ids, and four box numbers for each label.");
}

std::vector<std::vector<Segmentation>> ImageModel::segment(const std::vector<SegmentItem>& items,
                                                           const CancelProbe& cancel, StageLog* log) {
  check(items);
  std::vector<std::vector<Segmentation>> out;
  for (size_t begin = 0; begin < items.size(); begin += static_cast<size_t>(max_batch_)) {
    const size_t count = std::min(items.size() - begin, static_cast<size_t>(max_batch_));
    auto found = SegmentBatch(*this, &items[begin], count, cancel, log).run();
    out.insert(out.end(), std::make_move_iterator(found.begin()), std::make_move_iterator(found.end()));
  }
  return out;
}

}  // namespace sam3
