#include "image/detector.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <tuple>

#include "core/host_values.h"

namespace sam3 {

namespace {

// What prompts are made of, as tensors of the host: P prompts, N exemplars at most, L tokens of a text.
struct PromptTensors {
  at::Tensor boxes, labels, valid;  // fp32 [P,N,4] centre and size, int64 [P,N], bool [P,N]: not padding
  at::Tensor text_valid;            // bool [P,L]
};

PromptTensors tensors_of(const std::vector<const ConceptPrompt*>& prompts) {
  const auto count = static_cast<int64_t>(prompts.size());
  int64_t most = 0;
  for (const auto* prompt : prompts) most = std::max(most, static_cast<int64_t>(prompt->labels.size()));
  const auto length = static_cast<int64_t>(prompts[0]->ids.size());
  PromptTensors out{at::zeros({count, most, 4}, at::kFloat), at::zeros({count, most}, at::kLong),
                    at::zeros({count, most}, at::kBool), at::empty({count, length}, at::kBool)};
  for (int64_t p = 0; p < count; p++) {
    const auto& prompt = *prompts[p];
    bool* word = out.text_valid.mutable_data_ptr<bool>() + p * length;
    for (const int64_t id : prompt.ids) *word++ = id != 0;
    const auto n = static_cast<int64_t>(prompt.labels.size());
    if (n == 0) continue;
    float* centers = out.boxes.mutable_data_ptr<float>() + p * most * 4;
    for (const double* box = prompt.boxes.data(); box != prompt.boxes.data() + prompt.boxes.size(); box += 4)
      for (const double x : {(box[0] + box[2]) / 2, (box[1] + box[3]) / 2, box[2] - box[0], box[3] - box[1]})
        *centers++ = static_cast<float>(x);
    std::copy(prompt.labels.begin(), prompt.labels.end(), out.labels.mutable_data_ptr<int64_t>() + p * most);
    std::fill_n(out.valid.mutable_data_ptr<bool>() + p * most, n, true);
  }
  return out;
}

at::Tensor tensor_of(const std::vector<TextCache::Ids>& rows, int64_t length) {
  auto out = at::empty({static_cast<int64_t>(rows.size()), length}, at::kLong);
  int64_t* next = out.mutable_data_ptr<int64_t>();
  for (const auto& row : rows) next = std::copy(row.begin(), row.end(), next);
  return out;
}

// Rows of a tensor, ascending: as they lie where they lie side by side, else a copy.
at::Tensor rows_of(const at::Tensor& all, const std::vector<int64_t>& rows) {
  const auto count = static_cast<int64_t>(rows.size());
  if (rows.back() - rows.front() + 1 == count) return all.narrow(0, rows.front(), count);
  std::vector<at::Tensor> parts;
  for (const int64_t row : rows) parts.push_back(all.narrow(0, row, 1));
  return at::cat(parts);
}

}  // namespace

Detector::Found Detector::find(const std::vector<const ConceptPrompt*>& prompts, const std::vector<int64_t>& images,
                               const at::Tensor& coarse, const CancelProbe& cancel) {
  cancel.check();
  std::vector<TextCache::Ids> texts;
  for (const auto* prompt : prompts) texts.push_back(prompt->ids);
  const PromptTensors given = tensors_of(prompts);
  const auto sent = upload({index_tensor(images), given.boxes, given.labels, given.valid, given.text_valid,
                            tensor_of(texts_.unknown(texts), program_.architecture().text_context)},
                           program_.target().device);
  const at::Tensor& image_index = sent[0];
  const auto text = texts_.encode(program_, texts, sent[5]);
  const auto geometry = program_.encode_geometry(sent[1], sent[2], sent[3], coarse, image_index);
  Found out;
  out.prompt = at::cat({text, geometry.tokens}, 1);
  out.valid = at::cat({sent[4], geometry.valid}, 1);
  cancel.check();
  const auto found = program_.detect(coarse, image_index, out.prompt, out.valid);
  out.presence = found.presence.sigmoid();
  out.scores = found.logits.sigmoid() * out.presence;
  out.boxes = found.boxes;
  out.queries = found.logits.size(1);
  out.query_features = found.queries;
  out.encoded = found.encoded;
  return out;
}

at::Tensor Detector::best_first(const Found& found) {
  const at::Tensor& features = found.query_features;
  const auto order = std::get<1>(at::sort(found.scores, /*stable=*/true, /*dim=*/-1, /*descending=*/true));
  return features.gather(1, order.unsqueeze(-1).expand(features.sizes()));
}

std::vector<at::Tensor> Detector::features_of(const Found& found, const std::vector<std::vector<int64_t>>& queries) {
  std::vector<at::Tensor> out(queries.size());
  std::vector<int64_t> rows;
  for (size_t p = 0; p < queries.size(); p++)
    for (const int64_t q : queries[p]) rows.push_back(static_cast<int64_t>(p) * found.queries + q);
  if (rows.empty()) return out;
  const auto all = found.query_features.flatten(0, 1).index_select(0, index_tensor(rows, found.scores.device()));
  int64_t next = 0;
  for (size_t p = 0; p < queries.size(); p++) {
    const auto count = static_cast<int64_t>(queries[p].size());
    if (count > 0) out[p] = all.narrow(0, next, count);
    next += count;
  }
  return out;
}

void Detector::masks(const Found& found, const std::vector<Wanted>& wanted, const std::vector<at::Tensor>& kept,
                     const CancelProbe& cancel, const Take& take) const {
  for (const Wanted& one : wanted) {
    if (one.prompts.empty()) continue;
    cancel.check();
    const auto count = static_cast<int64_t>(one.prompts.size());
    const auto image = at::zeros({count}, at::TensorOptions(at::kLong).device(found.encoded.device()));
    const auto maps = program_.pixel_embed(*one.image, image, rows_of(found.encoded, one.prompts),
                                           rows_of(found.prompt, one.prompts), rows_of(found.valid, one.prompts));
    for (int64_t i = 0; i < count; i++) {
      cancel.check();
      const int64_t p = one.prompts[i];
      at::Tensor logits;
      if (kept[p].defined()) logits = program_.masks(maps.instance.narrow(0, i, 1), kept[p].unsqueeze(0))[0];
      take(p, logits, maps.semantic[i]);
    }
  }
}

}  // namespace sam3
