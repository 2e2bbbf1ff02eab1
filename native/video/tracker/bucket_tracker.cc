#include "video/tracker/bucket_tracker.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <map>

#include "core/host_values.h"
#include "network/in_parts.h"
#include "video/tracker/mask_prompts.h"

namespace sam3 {
namespace {

// Rows of a batch, as a tensor of their own: a view would keep the whole batch alive.
at::Tensor rows(const at::Tensor& batch, int64_t begin, int64_t count) {
  return batch.size(0) == count ? batch : batch.narrow(0, begin, count).clone();
}

at::Tensor as_probabilities(const at::Tensor& logits) {
  return logits.sigmoid() * 20.0f - 10.0f;
}

}  // namespace

BucketTracker::Asked BucketTracker::ask(int64_t frame, bool reverse, const std::vector<size_t>& moving,
                                        bool encode_memory) {
  std::vector<MemoryView> views;
  for (const size_t i : moving) views.push_back(buckets_[i].view(context(), frame, reverse));
  const Program::Levels image = frames_.propagation(frame);
  const auto decoded = network_.decode(image, network_.attend(image, views, most_pointers(options_, num_frames_)));
  at::Tensor memory;  // [N,G*G,D]
  if (encode_memory) memory = tracked_memory(image, decoded.masks, decoded.object_logits);

  Asked out{{}, HostCopy({decoded.masks, decoded.object_logits, decoded.iou})};
  int64_t row = 0;
  for (const size_t i : moving) {
    const auto count = static_cast<int64_t>(buckets_[i].ids().size());
    FrameOutput output;
    output.masks = rows(decoded.masks, row, count);
    output.pointers = rows(decoded.pointers, row, count);
    if (memory.defined()) output.memory = rows(memory, row, count);
    const at::Tensor masks = output.masks;
    out.tracked.push_back({masks, {}, {}, std::move(output)});
    row += count;
  }
  return out;
}

std::vector<BucketTracker::Tracked> BucketTracker::receive(Asked asked) const {
  asked.copy.wait();
  const auto& host = asked.copy.tensors();
  int64_t row = 0;
  for (Tracked& one : asked.tracked) {
    const int64_t count = one.masks.size(0);
    FrameOutput& output = one.output;
    output.object_logits = one.object_logits = host[1].narrow(0, row, count).clone();
    output.iou = host[2].narrow(0, row, count).clone();
    output.score = cal_mem_score(output.object_logits, output.iou);
    one.host_masks = host[0].narrow(0, row, count);
    row += count;
  }
  return std::move(asked.tracked);
}

at::Tensor BucketTracker::tracked_memory(const Program::Levels& image, const at::Tensor& masks,
                                         const at::Tensor& object_logits) {
  const int64_t size = model_.input_size();
  return network_.encode_memory(
      image,
      [&](int64_t begin, int64_t count) {
        const auto low = masks.narrow(0, begin, count).unsqueeze(1);
        return as_probabilities(at::upsample_bilinear2d(low, {size, size}, false).squeeze(1));
      },
      object_logits);
}

void BucketTracker::update_memories(int64_t frame, const at::Tensor& masks) {
  const auto total = static_cast<int64_t>(object_ids().size());
  if (masks.size(0) != total)
    throw Error(ERR_INTERNAL, "update_memories got " + std::to_string(masks.size(0)) + " masks for " +
                                  std::to_string(total) + " objects.");
  if (total == 0) return;
  translate(ERR_INFERENCE, "Updating memory", [&] {
    const int64_t size = 16 * model_.grid();
    const FinalMasks final_masks(masks, size, network_.objects_per_batch(10 * size * size));
    const at::Tensor memory = network_.encode_memory(
        frames_.propagation(frame),
        [&](int64_t begin, int64_t count) { return as_probabilities(final_masks.logits(begin, count)); },
        final_masks.object_logits());
    std::vector<at::Tensor> parts;
    int64_t row = 0;
    for (const MaskletBucket& bucket : buckets_) {
      const auto count = static_cast<int64_t>(bucket.ids().size());
      parts.push_back(rows(memory, row, count));
      row += count;
    }
    for (size_t i = 0; i < buckets_.size(); i++) buckets_[i].set_memory(frame, parts[i]);
  });
}

void BucketTracker::add_objects(int64_t frame, const std::vector<int64_t>& ids, const at::Tensor& masks) {
  if (ids.empty()) return;
  translate(ERR_INFERENCE, "Adding objects", [&] {
    MaskletBucket bucket;
    bucket.add_masks(context(), frame, ids, prompts_of_detections(masks, model_.grid(), height_, width_));
    bucket.preflight(context());
    buckets_.push_back(std::move(bucket));
  });
}

void BucketTracker::recondition(int64_t frame, const std::vector<int64_t>& objects, const at::Tensor& masks) {
  if (objects.empty()) return;
  translate(ERR_INFERENCE, "Reconditioning objects", [&] {
    const int64_t side = 16 * model_.grid();
    std::map<size_t, MaskletBucket> changed;
    for (const size_t i : buckets_of(objects)) changed.emplace(i, buckets_[i]);
    // Float32: the masks at both sizes, and what they are made of.
    const int64_t step = network_.objects_per_batch(2 * (3 * side * side + 2 * height_ * width_));
    in_parts(masks.size(0), step, masks.device(), [&](int64_t begin, int64_t count) {
      const auto prompts = prompts_of_detections(masks.narrow(0, begin, count), model_.grid(), height_, width_);
      const at::Tensor pointers = network_.pointers_of_masks(frames_.tracker(frame), prompts.inputs);
      const auto there = to_floats(prompts.inputs.flatten(1).gt(0).any(1));
      for (int64_t k = 0; k < count; k++) {
        const int64_t id = objects[static_cast<size_t>(begin + k)];
        changed.at(buckets_of({id})[0])
            .replace_mask(context(), frame, id, prompts.given.narrow(0, k, 1), pointers.narrow(0, k, 1), there[k]);
      }
    });
    for (auto& [i, bucket] : changed) bucket.encode_conditioning(context(), frame);
    for (auto& [i, bucket] : changed) buckets_[i] = std::move(bucket);
  });
}

size_t BucketTracker::home_of(int64_t object) const {
  auto place = std::find_if(buckets_.begin(), buckets_.end(), [&](const auto& b) { return b.contains(object); });
  if (place == buckets_.end())
    place = std::find_if(buckets_.begin(), buckets_.end(), [](const auto& b) { return !b.started(); });
  return static_cast<size_t>(place - buckets_.begin());
}

template <class Body>
BucketFrame BucketTracker::prompt(int64_t frame, int64_t object, Body&& body) {
  return translate(ERR_INFERENCE, "Adding a prompt", [&] {
    const size_t home = home_of(object);
    MaskletBucket changed = home == buckets_.size() ? new_bucket() : buckets_[home];
    body(changed);
    BucketFrame out = changed.on_frame(context(), frame);
    if (home == buckets_.size())
      buckets_.push_back(std::move(changed));
    else
      buckets_[home] = std::move(changed);
    pin_pending();
    return out;
  });
}

BucketFrame BucketTracker::add_points(int64_t frame, int64_t object, const ClickPrompt& input) {
  return prompt(frame, object, [&](MaskletBucket& bucket) { bucket.add_points(context(), frame, object, input); });
}

BucketFrame BucketTracker::add_mask(int64_t frame, int64_t object, const at::Tensor& mask) {
  return prompt(frame, object, [&](MaskletBucket& bucket) {
    bucket.add_masks(
        context(), frame, {object},
        prompts_of_masks(mask.unsqueeze(0), model_.program().target().device, model_.grid(), height_, width_));
  });
}

}  // namespace sam3
