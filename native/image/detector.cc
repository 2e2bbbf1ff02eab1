#include "image/detector.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <tuple>

#include "core/host_values.h"

namespace sam3 {

// Text and exemplar tokens [P, 32 + N + 1, C] of prompts, and which of them count [P, 32 + N + 1].
std::pair<at::Tensor, at::Tensor> Detector::tokens(const std::vector<const ConceptPrompt*>& prompts,
                                                   const at::Tensor& coarse, const at::Tensor& image_index) {
  const auto count = static_cast<int64_t>(prompts.size());
  std::vector<TextCache::Ids> ids;
  int64_t most = 0;
  for (const auto* prompt : prompts) {
    ids.push_back(prompt->ids);
    most = std::max(most, static_cast<int64_t>(prompt->labels.size()));
  }
  const auto [text, text_valid] = texts_.encode(program_, ids);

  auto boxes = at::zeros({count, most, 4}, at::kFloat);
  auto labels = at::zeros({count, most}, at::kLong);
  auto valid = at::zeros({count, most}, at::kBool);
  for (int64_t p = 0; p < count; p++) {
    const auto& prompt = *prompts[p];
    const auto n = static_cast<int64_t>(prompt.labels.size());
    if (n == 0) continue;
    float* centers = boxes.mutable_data_ptr<float>() + p * most * 4;
    for (const double* box = prompt.boxes.data(); box != prompt.boxes.data() + prompt.boxes.size(); box += 4)
      for (const double x : {(box[0] + box[2]) / 2, (box[1] + box[3]) / 2, box[2] - box[0], box[3] - box[1]})
        *centers++ = static_cast<float>(x);
    std::copy(prompt.labels.begin(), prompt.labels.end(), labels.mutable_data_ptr<int64_t>() + p * most);
    std::fill_n(valid.mutable_data_ptr<bool>() + p * most, n, true);
  }
  const auto device = program_.target().device;
  const auto geometry =
      program_.encode_geometry(boxes.to(device), labels.to(device), valid.to(device), coarse, image_index);
  return {at::cat({text, geometry.tokens}, 1), at::cat({text_valid, geometry.valid}, 1)};
}

Detector::Found Detector::find(const std::vector<const ConceptPrompt*>& prompts, const std::vector<int64_t>& images,
                               const at::Tensor& coarse, const CancelProbe& cancel) {
  cancel.check();
  const auto image_index = index_tensor(images, program_.target().device);
  Found out;
  std::tie(out.prompt, out.valid) = tokens(prompts, coarse, image_index);
  cancel.check();
  const auto found = program_.detect(coarse, image_index, out.prompt, out.valid);
  out.presence = found.presence.sigmoid();
  out.scores = found.logits.sigmoid() * out.presence;
  out.boxes = to_floats(found.boxes);
  out.queries = found.logits.size(1);
  out.query_features = found.queries;
  out.encoded = found.encoded;
  return out;
}

void Detector::masks(const Found& found, const Program::Levels& image, const std::vector<int64_t>& prompts,
                     const std::vector<std::vector<int64_t>>& kept, const CancelProbe& cancel, const Take& take) const {
  if (prompts.empty()) return;
  cancel.check();
  const auto device = program_.target().device;
  const auto rows = index_tensor(prompts, device);
  const auto maps = program_.pixel_embed(image, at::zeros_like(rows), found.encoded.index_select(0, rows),
                                         found.prompt.index_select(0, rows), found.valid.index_select(0, rows));
  for (size_t i = 0; i < prompts.size(); i++) {
    cancel.check();
    const int64_t p = prompts[i];
    const auto row = static_cast<int64_t>(i);
    at::Tensor logits;
    if (!kept[p].empty()) {
      const auto queries = found.query_features[p].index_select(0, index_tensor(kept[p], device)).unsqueeze(0);
      logits = program_.masks(maps.instance.narrow(0, row, 1), queries)[0];
    }
    take(p, logits, maps.semantic[row]);
  }
}

}  // namespace sam3
