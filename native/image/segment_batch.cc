// Concept prompts: detector, scores, masks of what was kept. Source: Meta's Sam3Image.forward_grounding and
// Sam3Processor (score = sigmoid(logit) * sigmoid(presence), kept above the threshold, no NMS, boxes not clamped).
#include "image/segment_batch.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "core/error.h"
#include "network/in_parts.h"

namespace sam3 {
namespace {

// Full blocks of masks that lie on the host at most, 128 MB each in bfloat16.
constexpr size_t kMostSent = 4;

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

SegmentBatch::SegmentBatch(ImageModel& model, const SegmentItem* items, size_t count, CancelProbe cancel, StageLog* log)
    : model_(model), items_(items), count_(count), cancel_(std::move(cancel)), log_(log), results_(count) {
  for (size_t i = 0; i < count; i++) {
    results_[i].resize(items[i].prompts.size());
    for (size_t p = 0; p < items[i].prompts.size(); p++)
      pairs_.push_back({static_cast<int64_t>(i), &items[i].prompts[p], &results_[i][p]});
    if (const auto* image = std::get_if<RgbImage>(&items[i].image)) raw_.push_back(*image);
  }
  resized_.resize(raw_.size());
}

void SegmentBatch::prepare(size_t part) {
  StageSpan span{Stage::prepare, now_ms(), 0};
  translate(ERR_INFERENCE, "Preparing images",
            [&] { resized_[part] = resize_to_square(raw_[part], model_.input_size()); });
  span.end = now_ms();
  const std::lock_guard lock(prepare_mutex_);
  if (!prepared_) prepared_ = span;
  prepared_->begin = std::min(prepared_->begin, span.begin);
  prepared_->end = std::max(prepared_->end, span.end);
}

void SegmentBatch::launch() {
  encode();
  const auto total = static_cast<int64_t>(pairs_.size()), step = model_.pairs_per_batch();
  translate(ERR_INFERENCE, "Segmenting", [&] {
    int64_t first = 0;
    // What does not fit into one part is waited for, but for the last one.
    for (; first + step < total; first += step) {
      const Part part = find(first, step);
      part.answer.wait();
      decode(part, Masks::are_sent);
    }
    if (first == total) return;  // nothing was asked
    last_ = find(first, total - first);
  });
}

void SegmentBatch::answer() {
  if (last_.count > 0) translate(ERR_INFERENCE, "Segmenting", [&] { decode(last_, Masks::are_sent); });
  // Memory of the device is given back by the thread that took it.
  last_ = {};
  images_.clear();
  levels_.clear();
  coarse_.reset();
}

size_t SegmentBatch::await_rest() {
  size_t count = 0;
  translate(ERR_INFERENCE, "Segmenting", [&] {
    for (const PendingMasks& masks : masks_) {
      masks.copy().wait_quietly();
      count += masks.size();
    }
  });
  if (log_) log_->settle();
  fetched_ = now_ms();
  return count;
}

void SegmentBatch::finish(size_t mask) {
  auto block = masks_.begin();
  for (; mask >= block->size(); block++) mask -= block->size();
  block->trace(mask);
}

std::vector<std::vector<Segmentation>> SegmentBatch::take() {
  if (log_ && !masks_.empty()) log_->add({Stage::masks, fetched_, now_ms()});
  return std::move(results_);
}

std::vector<std::vector<Segmentation>> SegmentBatch::run() {
  cancel_.check();
  for (size_t part = 0; part < parts(); part++) prepare(part);
  encode();
  const auto total = static_cast<int64_t>(pairs_.size());
  in_parts(total, model_.pairs_per_batch(), model_.program().target().device, [&](int64_t first, int64_t count) {
    translate(ERR_INFERENCE, "Segmenting", [&] {
      const Part part = find(first, count);
      part.answer.wait();
      cancel_.check();
      decode(part, Masks::are_awaited);
    });
  });
  return std::move(results_);
}

void SegmentBatch::encode() {
  if (log_ && prepared_) log_->add(*prepared_);
  const Program& program = model_.program();
  Program::Levels fresh;
  if (!raw_.empty()) {
    const auto stage = StageLog::on_device(log_, Stage::encode);
    const auto pixels =
        translate(ERR_INFERENCE, "Preparing images", [&] { return network_input(resized_, program.target()); });
    resized_.clear();
    const auto vit = program.encode_image(pixels, [&] { cancel_.check(); });
    cancel_.check();
    fresh = program.neck_detect(vit);
  }
  int64_t next = 0;
  for (size_t i = 0; i < count_; i++) {
    if (const auto* raw = std::get_if<RgbImage>(&items_[i].image)) {
      auto features = std::make_shared<ImageFeatures>();
      features->width = raw->width;
      features->height = raw->height;
      features->detector = {fresh.fine.narrow(0, next, 1), fresh.middle.narrow(0, next, 1),
                            fresh.coarse.narrow(0, next, 1)};
      images_.push_back(std::move(features));
      next++;
    } else {
      const auto& features = std::get<ImageFeaturesPtr>(items_[i].image);
      if (features->released()) throw Error(ERR_DISPOSED, "This image was disposed; encode it again.");
      images_.push_back(features);
    }
    levels_.push_back(model_.detector_levels(*images_.back()));
  }
  if (levels_.size() == 1) {
    coarse_ = levels_[0].coarse;
  } else {
    std::vector<at::Tensor> coarse;
    for (const auto& levels : levels_) coarse.push_back(levels.coarse);
    coarse_ = at::cat(coarse);
  }
}

SegmentBatch::Part SegmentBatch::find(int64_t first, int64_t count) {
  Part part{&pairs_[static_cast<size_t>(first)], count, {}, {}, {}};
  std::vector<int64_t> images;
  std::vector<const ConceptPrompt*> prompts;
  for (int64_t p = 0; p < count; p++) {
    images.push_back(part.pairs[p].image);
    prompts.push_back(part.pairs[p].prompt);
  }
  {
    const auto stage = StageLog::on_device(log_, Stage::detect);
    part.found = model_.detector().find(prompts, images, coarse_, cancel_);
  }
  part.answer = HostCopy({part.found.presence, part.found.scores, part.found.boxes});
  // Behind the copy, so that the device does it while the host reads.
  part.by_score = Detector::best_first(part.found);
  return part;
}

// Features of the queries that are kept of a part, by pair; their scores and boxes become results.
std::vector<at::Tensor> SegmentBatch::choose(const Part& part) {
  const auto values = floats_of(part.answer.tensors());
  const auto &presence = values[0], &scores = values[1], &boxes = values[2];
  std::vector<at::Tensor> features(part.count);
  for (int64_t p = 0; p < part.count; p++) {
    const Pair& pair = part.pairs[p];
    const auto& image = *images_[pair.image];
    const float* own = &scores[p * part.found.queries];
    const auto kept = keep(own, part.found.queries, pair.prompt->threshold, pair.prompt->max_instances);
    if (!kept.empty()) {
      const auto before = std::count_if(own, own + part.found.queries, [](float score) { return std::isnan(score); });
      features[p] = part.by_score[p].narrow(0, before, static_cast<int64_t>(kept.size()));
    }
    Segmentation& out = *pair.out;
    out = {};
    out.presence = presence[p];
    out.masks.width = image.width;
    out.masks.height = image.height;
    for (const int64_t q : kept) {
      const float* box = &boxes[(p * part.found.queries + q) * 4];
      out.scores.push_back(own[q]);
      for (int i = 0; i < 4; i++) out.boxes.push_back(box[i] * static_cast<float>(i % 2 ? image.height : image.width));
    }
  }
  return features;
}

void SegmentBatch::decode(const Part& part, Masks masks) {
  const auto kept = choose(part);
  std::optional<StageLog::Running> stage(std::in_place, log_, Stage::masks, /*on_device=*/true);
  // The masks of all pairs are asked for before the first one is waited for.
  PendingMasks pending;
  const auto hand_over = [&] {
    if (masks == Masks::are_awaited)
      pending.finish();
    else
      send(std::exchange(pending, {}));
  };
  std::vector<Detector::Wanted> wanted;  // pairs that show anything, by image
  for (int64_t p = 0; p < part.count; p++) {
    if (!kept[p].defined() && !part.pairs[p].prompt->semantic) continue;
    const Program::Levels* levels = &levels_[part.pairs[p].image];
    if (wanted.empty() || wanted.back().image != levels) wanted.push_back({levels, {}});
    wanted.back().prompts.push_back(p);
  }
  const auto take = [&](int64_t p, const at::Tensor& logits, const at::Tensor& semantic) {
    const Pair& pair = part.pairs[p];
    Segmentation& out = *pair.out;
    if (logits.defined()) {
      if (pair.prompt->logits) out.logits_size = logits.size(-1);
      pending.add(logits, 0.0f, out.masks, pair.prompt->logits ? &out.logits : nullptr);
    }
    if (pair.prompt->semantic) {
      const auto& image = *images_[pair.image];
      out.semantic = MaskSet{image.width, image.height, {}};
      pending.add(semantic.to(at::kFloat).sigmoid(), 0.5f, *out.semantic);
    }
    if (pending.is_full()) hand_over();
  };
  model_.detector().masks(part.found, wanted, kept, cancel_, take);
  cancel_.check();
  stage.reset();  // before the copy: who has waited for that one knows when the stage ended
  if (pending.is_empty()) return;
  if (masks == Masks::are_sent) return hand_over();
  const auto on_host = StageLog::on_host(log_, Stage::masks);
  hand_over();
}

void SegmentBatch::send(PendingMasks masks) {
  masks.fetch();
  if (masks_.size() >= kMostSent) masks_[masks_.size() - kMostSent].finish();
  masks_.push_back(std::move(masks));
}

}  // namespace sam3
