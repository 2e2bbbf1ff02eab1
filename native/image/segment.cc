// Concept prompts: detector, scores, masks of what was kept. Source: Meta's Sam3Image.forward_grounding and
// Sam3Processor (score = sigmoid(logit) * sigmoid(presence), kept above the threshold, no NMS, boxes not clamped).
#include <ATen/ATen.h>

#include <algorithm>

#include "core/error.h"
#include "core/host_values.h"
#include "image/image_model.h"
#include "network/in_parts.h"

namespace sam3 {

struct ImageModel::Pair {
  int64_t image = 0;  // index in the group
  const ConceptPrompt* prompt = nullptr;
  Segmentation* out = nullptr;
};

struct ImageModel::Group {
  std::vector<ImageFeaturesPtr> images;
  std::vector<Program::Levels> levels;  // per image, batch 1
  at::Tensor coarse;                    // [B, C, G, G] of all images: what geometry and detector read
  std::vector<Pair> pairs;              // by image, then by prompt
};

namespace {

// Queries above the threshold, best first, at most `limit` when that is not negative.
std::vector<int64_t> keep(const float* scores, int64_t count, float threshold, int64_t limit) {
  std::vector<int64_t> kept;
  for (int64_t q = 0; q < count; q++)
    if (scores[q] > threshold) kept.push_back(q);
  std::stable_sort(kept.begin(), kept.end(), [&](int64_t a, int64_t b) { return scores[a] > scores[b]; });
  if (limit >= 0 && static_cast<int64_t>(kept.size()) > limit) kept.resize(limit);
  return kept;
}

}  // namespace

int64_t ImageModel::pairs_per_batch() const {
  // What one pair takes at the widest point, in elements: about four pixel maps of the mask decoder and the box bias of
  // the decoder's attention, twice. Measured against the allocator at the true configuration.
  const auto& a = program_.architecture();
  const int64_t elements = 4 * 16 * grid_ * grid_ * a.hidden_size + 2 * a.decoder_heads * a.num_queries * grid_ * grid_;
  const int64_t bytes = elements * static_cast<int64_t>(c10::elementSize(program_.target().dtype));
  return std::max<int64_t>(1, memory_budget_ / bytes);
}

std::vector<std::vector<Segmentation>> ImageModel::segment(const std::vector<SegmentItem>& items,
                                                           const CancelProbe& cancel, StageLog* log) {
  program_.parts().require_detector();
  std::vector<std::vector<Segmentation>> out;
  const auto context = static_cast<size_t>(program_.architecture().text_context);
  for (const auto& item : items) {
    out.emplace_back(item.prompts.size());
    for (const auto& prompt : item.prompts)
      if (prompt.ids.size() != context || prompt.boxes.size() != 4 * prompt.labels.size())
        throw Error(ERR_INVALID_ARGUMENT,
                    "A prompt needs " + std::to_string(context) + " token ids, and four box numbers for each label.");
  }

  for (size_t begin = 0; begin < items.size(); begin += max_batch_) {
    const size_t end = std::min(items.size(), begin + static_cast<size_t>(max_batch_));
    Group group = make_group(items, begin, end, cancel, log);
    for (size_t i = begin; i < end; i++)
      for (size_t p = 0; p < items[i].prompts.size(); p++)
        group.pairs.push_back({static_cast<int64_t>(i - begin), &items[i].prompts[p], &out[i][p]});
    const auto total = static_cast<int64_t>(group.pairs.size());
    in_parts(total, pairs_per_batch(), program_.target().device,
             [&](int64_t first, int64_t count) { segment_pairs(group, &group.pairs[first], count, cancel, log); });
  }
  return out;
}

ImageModel::Group ImageModel::make_group(const std::vector<SegmentItem>& items, size_t begin, size_t end,
                                         const CancelProbe& cancel, StageLog* log) {
  cancel.check();
  Group group;
  std::vector<RgbImage> raw;
  for (size_t i = begin; i < end; i++)
    if (const auto* image = std::get_if<RgbImage>(&items[i].image)) raw.push_back(*image);
  at::Tensor vit;
  Program::Levels fresh;
  if (!raw.empty()) {
    vit = encode_batch(raw, cancel, log);
    cancel.check();
    const auto stage = StageLog::on_device(log, Stage::encode);
    fresh = program_.neck_detect(vit);
  }
  int64_t next = 0;
  for (size_t i = begin; i < end; i++) {
    if (std::holds_alternative<RgbImage>(items[i].image)) {
      auto features = std::make_shared<ImageFeatures>();
      features->width = raw[next].width;
      features->height = raw[next].height;
      features->detector = {fresh.fine.narrow(0, next, 1), fresh.middle.narrow(0, next, 1),
                            fresh.coarse.narrow(0, next, 1)};
      group.images.push_back(std::move(features));
      next++;
    } else {
      auto& features = std::get<ImageFeaturesPtr>(items[i].image);
      if (features->released()) throw Error(ERR_DISPOSED, "This image was disposed; encode it again.");
      group.images.push_back(features);
    }
    group.levels.push_back(detector_levels(*group.images.back()));
  }
  if (group.levels.size() == 1) {
    group.coarse = group.levels[0].coarse;
  } else {
    std::vector<at::Tensor> coarse;
    for (const auto& levels : group.levels) coarse.push_back(levels.coarse);
    group.coarse = at::cat(coarse);
  }
  return group;
}

void ImageModel::segment_pairs(const Group& group, const Pair* pairs, int64_t count, const CancelProbe& cancel,
                               StageLog* log) {
  translate(ERR_INFERENCE, "Segmenting", [&] {
    std::vector<int64_t> images;
    std::vector<const ConceptPrompt*> prompts;
    for (int64_t p = 0; p < count; p++) {
      images.push_back(pairs[p].image);
      prompts.push_back(pairs[p].prompt);
    }
    const auto found = [&] {
      const auto stage = StageLog::on_device(log, Stage::detect);
      return detector_.find(prompts, images, group.coarse, cancel);
    }();
    const auto values = to_floats({found.presence, found.scores, found.boxes});
    const auto &presence = values[0], &scores = values[1], &boxes = values[2];
    cancel.check();

    std::vector<std::vector<int64_t>> kept;
    for (int64_t p = 0; p < count; p++) {
      const auto& image = *group.images[pairs[p].image];
      const float* own = &scores[p * found.queries];
      kept.push_back(keep(own, found.queries, prompts[p]->threshold, prompts[p]->max_instances));
      Segmentation& out = *pairs[p].out;
      out = {};
      out.presence = presence[p];
      out.masks.width = image.width;
      out.masks.height = image.height;
      for (const int64_t q : kept.back()) {
        const float* box = &boxes[(p * found.queries + q) * 4];
        out.scores.push_back(own[q]);
        for (int i = 0; i < 4; i++)
          out.boxes.push_back(box[i] * static_cast<float>(i % 2 ? image.height : image.width));
      }
    }
    decode_masks(group, pairs, count, found, kept, cancel, log);
  });
}

void ImageModel::decode_masks(const Group& group, const Pair* pairs, int64_t count, const Detector::Found& found,
                              const std::vector<std::vector<int64_t>>& kept, const CancelProbe& cancel,
                              StageLog* log) const {
  std::optional<StageLog::Running> stage(std::in_place, log, Stage::masks, /*on_device=*/true);
  // The masks of all pairs are launched before the first one is waited for.
  PendingMasks pending;
  std::vector<Detector::Wanted> wanted;  // pairs that show anything, by image
  for (int64_t p = 0; p < count; p++) {
    if (kept[p].empty() && !pairs[p].prompt->semantic) continue;
    const Program::Levels* levels = &group.levels[pairs[p].image];
    if (wanted.empty() || wanted.back().image != levels) wanted.push_back({levels, {}});
    wanted.back().prompts.push_back(p);
  }
  detector_.masks(found, wanted, kept, cancel, [&](int64_t p, const at::Tensor& logits, const at::Tensor& semantic) {
    Segmentation& out = *pairs[p].out;
    if (logits.defined()) {
      if (pairs[p].prompt->logits) out.logits_size = logits.size(-1);
      pending.add(logits, 0.0f, out.masks, pairs[p].prompt->logits ? &out.logits : nullptr);
    }
    if (pairs[p].prompt->semantic) {
      const auto& image = *group.images[pairs[p].image];
      out.semantic = MaskSet{image.width, image.height, {}};
      pending.add(semantic.to(at::kFloat).sigmoid(), 0.5f, *out.semantic);
    }
  });
  cancel.check();
  stage.reset();
  const auto on_host = StageLog::on_host(log, Stage::masks);
  pending.finish();
}

}  // namespace sam3
