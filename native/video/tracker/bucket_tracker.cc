#include "video/tracker/bucket_tracker.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cstdlib>

#include "core/host_values.h"
#include "masks/mask_overlap.h"

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

Error unknown_object(int64_t object, const std::vector<int64_t>& tracked) {
  std::string ids;
  for (const int64_t id : tracked) ids += (ids.empty() ? "" : ", ") + std::to_string(id);
  return Error(ERR_UNKNOWN_OBJECT, "There is no object " + std::to_string(object) +
                                       (ids.empty() ? "; none is tracked." : "; tracked are " + ids + "."));
}

BucketTracker::BucketTracker(ImageModel& model, FrameStore& frames, TrackerOptions options, int64_t width,
                             int64_t height, int64_t num_frames)
    : model_(model),
      frames_(frames),
      options_(options),
      network_(model, frames.clock()),
      width_(width),
      height_(height),
      num_frames_(num_frames) {}

BucketTracker::~BucketTracker() {
  frames_.pin(this, {});
}

std::vector<int64_t> BucketTracker::object_ids() const {
  std::vector<int64_t> ids;
  for (const MaskletBucket& bucket : buckets_) ids.insert(ids.end(), bucket.ids().begin(), bucket.ids().end());
  return ids;
}

MaskletBucket& BucketTracker::bucket_of(int64_t object) {
  return buckets_[buckets_of({object})[0]];
}

std::vector<size_t> BucketTracker::buckets_of(const std::vector<int64_t>& objects) const {
  std::set<size_t> found;
  for (const int64_t object : objects) {
    const auto bucket =
        std::find_if(buckets_.begin(), buckets_.end(), [&](const auto& b) { return b.contains(object); });
    if (bucket == buckets_.end()) throw unknown_object(object, object_ids());
    found.insert(static_cast<size_t>(bucket - buckets_.begin()));
  }
  return {found.begin(), found.end()};
}

std::vector<int64_t> BucketTracker::bucket_ids(const std::vector<int64_t>& objects) const {
  std::vector<int64_t> ids;
  for (const size_t bucket : buckets_of(objects))
    ids.insert(ids.end(), buckets_[bucket].ids().begin(), buckets_[bucket].ids().end());
  return ids;
}

// ------------------------------------------------------------------------------------------------ tracking

Propagated BucketTracker::propagate(int64_t frame, bool reverse) {
  return propagate_some(frame, reverse, object_ids(), /*encode_memory=*/false);
}

Propagated BucketTracker::propagate_some(int64_t frame, bool reverse, const std::vector<int64_t>& objects,
                                         bool encode_memory) {
  const auto chosen = buckets_of(objects);
  if (!chosen.empty() &&
      std::none_of(chosen.begin(), chosen.end(), [&](size_t i) { return buckets_[i].bank().has_conditioning(); }))
    throw Error(ERR_NO_PROMPT, "No object has a prompt to be tracked from.", "Add points, a box or a mask first.");
  return translate(ERR_INFERENCE, "Tracking", [&] { return run(frame, reverse, chosen, encode_memory); });
}

Propagated BucketTracker::run(int64_t frame, bool reverse, const std::vector<size_t>& chosen, bool encode_memory) {
  const TrackContext shared = context();
  const auto device = model_.program().target().device;
  std::vector<size_t> moving;  // buckets that the network has to be run for
  std::vector<MemoryView> views;
  for (const size_t i : chosen) {
    if (!buckets_[i].bank().has_conditioning() || buckets_[i].bank().conditioning(frame)) continue;
    moving.push_back(i);
    views.push_back(buckets_[i].view(shared, frame, reverse));
  }
  TrackNetwork::Decoded decoded;
  at::Tensor memory;                // [N,G*G,D]
  std::vector<at::Tensor> fetched;  // masks, object logits [N,1] and IoUs [N], on the host
  if (!moving.empty()) {
    const Program::Levels image = frames_.tracker(frame);
    decoded = network_.decode(image, network_.attend(image, views, most_pointers(options_, num_frames_)));
    if (encode_memory) memory = tracked_memory(image, decoded.masks, decoded.object_logits);
    fetched = to_host({decoded.masks, decoded.object_logits, decoded.iou});
  }

  // From here on nothing but copies: state changes only when all went well.
  const int64_t side = model_.mask_side();
  const auto options = at::TensorOptions().dtype(at::kFloat).device(device);
  std::vector<at::Tensor> masks{at::empty({0, side, side}, options)}, logits{at::empty({0}, at::kFloat)},
      host_masks{at::empty({0, side, side}, at::kFloat)};
  std::vector<FrameOutput> outputs;
  int64_t row = 0;
  size_t next = 0;
  for (const size_t i : chosen) {
    const auto count = static_cast<int64_t>(buckets_[i].ids().size());
    if (next < moving.size() && moving[next] == i) {
      FrameOutput output;
      output.masks = rows(decoded.masks, row, count);
      output.pointers = rows(decoded.pointers, row, count);
      output.object_logits = fetched[1].narrow(0, row, count).clone();
      output.iou = fetched[2].narrow(0, row, count).clone();
      output.score = cal_mem_score(output.object_logits, output.iou);
      if (memory.defined()) output.memory = rows(memory, row, count);
      masks.push_back(output.masks);
      host_masks.push_back(fetched[0].narrow(0, row, count));
      logits.push_back(output.object_logits.flatten());
      outputs.push_back(std::move(output));
      row += count;
      next++;
    } else if (const FrameOutput* stored = buckets_[i].bank().conditioning(frame)) {
      masks.push_back(stored->masks.to(device));
      host_masks.push_back(to_host(stored->masks));
      logits.push_back(stored->object_logits.flatten());
    } else {
      masks.push_back(at::full({count, side, side}, kAbsent, options));
      host_masks.push_back(at::full({count, side, side}, kAbsent, at::kFloat));
      logits.push_back(at::full({count}, kAbsent, at::kFloat));
    }
  }
  Propagated result{at::cat(masks), at::cat(logits), {}};
  result.host_masks = device.is_cpu() ? result.masks : at::cat(host_masks);
  for (size_t i = 0; i < moving.size(); i++) buckets_[moving[i]].store_tracked(frame, reverse, std::move(outputs[i]));
  for (const size_t i : chosen)
    if (std::find(moving.begin(), moving.end(), i) == moving.end() && buckets_[i].bank().conditioning(frame))
      buckets_[i].meet_conditioning(shared, frame, reverse);
  return result;
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
    const auto high = [&](int64_t begin, int64_t count) {
      return at::upsample_bilinear2d(masks.narrow(0, begin, count).unsqueeze(1), {size, size}, false).squeeze(1);
    };
    const int64_t step = network_.objects_per_batch(10 * size * size);
    const at::Tensor kept = keeps_area(high, total, step);
    const auto final_masks = [&](int64_t begin, int64_t count) {
      const auto logits = high(begin, count);
      return at::where(kept.narrow(0, begin, count).view({-1, 1, 1}), logits, logits.clamp_max(-10.0f));
    };
    // Whether anything is left of a mask stands for the object's logit here.
    std::vector<at::Tensor> present;
    for (int64_t begin = 0; begin < total; begin += step)
      present.push_back(final_masks(begin, std::min(step, total - begin)).flatten(1).gt(0).any(1, true));
    const auto object_logits = at::where(at::cat(present), 10.0f, -10.0f).to(at::kFloat);
    const at::Tensor memory = network_.encode_memory(
        frames_.tracker(frame),
        [&](int64_t begin, int64_t count) { return as_probabilities(final_masks(begin, count)); }, object_logits);
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

// ------------------------------------------------------------------------------------------------- objects

namespace {

// Masks of detections at the size that the network takes: bool [K,16G,16G].
at::Tensor binary_inputs(const at::Tensor& logits, int64_t grid) {
  return at::upsample_bilinear2d(logits.to(at::kFloat).unsqueeze(1), {16 * grid, 16 * grid}, false).squeeze(1).gt(0);
}

// float32 [K,h,w] in 0..1 -> [K,height,width].
at::Tensor resized(const at::Tensor& masks, int64_t height, int64_t width) {
  if (masks.size(1) == height && masks.size(2) == width) return masks;
  return at::_upsample_bilinear2d_aa(masks.unsqueeze(1), {height, width}, /*align_corners=*/false).squeeze(1);
}

}  // namespace

void BucketTracker::add_objects(int64_t frame, const std::vector<int64_t>& ids, const at::Tensor& masks) {
  if (ids.empty()) return;
  translate(ERR_INFERENCE, "Adding objects", [&] {
    MaskletBucket bucket;
    const at::Tensor inputs = binary_inputs(masks, model_.grid()).to(at::kFloat);
    bucket.add_masks(context(), frame, ids, inputs, resized(inputs, height_, width_) > 0.5f);
    bucket.preflight(context());
    buckets_.push_back(std::move(bucket));
  });
}

void BucketTracker::recondition(int64_t frame, int64_t object, const at::Tensor& mask) {
  MaskletBucket& bucket = bucket_of(object);
  translate(ERR_INFERENCE, "Reconditioning an object", [&] {
    MaskletBucket changed = bucket;  // two steps, of which the second may fail
    const at::Tensor inputs = binary_inputs(mask.unsqueeze(0), model_.grid()).to(at::kFloat);
    changed.add_masks(context(), frame, {object}, inputs, resized(inputs, height_, width_) > 0.5f);
    changed.preflight(context());
    bucket = std::move(changed);
  });
}

void BucketTracker::remove_objects(const std::vector<int64_t>& ids) {
  translate(ERR_INFERENCE, "Removing objects", [&] {
    std::vector<MaskletBucket> left;
    for (const MaskletBucket& bucket : buckets_) {
      left.push_back(bucket);
      left.back().remove(ids);
      if (left.back().ids().empty()) left.pop_back();
    }
    buckets_ = std::move(left);
  });
  pin_pending();
}

// ------------------------------------------------------------------------------------------------- prompts

template <class Body>
BucketFrame BucketTracker::prompt(int64_t frame, int64_t object, Body&& body) {
  return translate(ERR_INFERENCE, "Adding a prompt", [&] {
    auto place = std::find_if(buckets_.begin(), buckets_.end(), [&](const auto& b) { return b.contains(object); });
    if (place == buckets_.end())
      place = std::find_if(buckets_.begin(), buckets_.end(), [](const auto& b) { return !b.started(); });
    MaskletBucket changed = place == buckets_.end() ? MaskletBucket() : *place;
    body(changed);
    BucketFrame out = changed.on_frame(context(), frame);
    if (place == buckets_.end())
      buckets_.push_back(std::move(changed));
    else
      *place = std::move(changed);
    pin_pending();
    return out;
  });
}

BucketFrame BucketTracker::add_points(int64_t frame, int64_t object, const ClickPrompt& input) {
  return prompt(frame, object, [&](MaskletBucket& bucket) { bucket.add_points(context(), frame, object, input); });
}

BucketFrame BucketTracker::add_mask(int64_t frame, int64_t object, const at::Tensor& mask) {
  if (mask.dim() != 2 || mask.numel() == 0) throw Error(ERR_INVALID_ARGUMENT, "A mask needs height x width values.");
  return prompt(frame, object, [&](MaskletBucket& bucket) {
    const at::Tensor values = mask.to(model_.program().target().device, at::kFloat).unsqueeze(0);
    const int64_t side = 16 * model_.grid();
    bucket.add_masks(context(), frame, {object}, resized(values, side, side), resized(values, height_, width_) > 0.5f);
  });
}

BucketFrame BucketTracker::clear_inputs(int64_t frame, int64_t object) {
  bucket_of(object);  // throws where it is not there
  return prompt(frame, object, [&](MaskletBucket& bucket) { bucket.clear_inputs(frame, object); });
}

void BucketTracker::clear_mask_prompts_around(int64_t frame, int64_t object, int64_t window) {
  MaskletBucket& bucket = bucket_of(object);
  MaskletBucket changed = bucket;
  for (const int64_t t : bucket.mask_frames(object)) {
    if (std::llabs(t - frame) > window) continue;
    for (const int64_t id : bucket.ids()) changed.clear_inputs(t, id);
  }
  bucket = std::move(changed);
  pin_pending();
}

void BucketTracker::preflight(const std::vector<int64_t>& objects) {
  for (const size_t i : buckets_of(objects)) buckets_[i].preflight(context());
  pin_pending();
}

void BucketTracker::preflight() {
  preflight(object_ids());
}

// -------------------------------------------------------------------------------------------------- memory

void BucketTracker::prune(int64_t frame) {
  for (MaskletBucket& bucket : buckets_) bucket.prune(context(), frame);
}

void BucketTracker::move_to_host(int64_t frame) {
  translate(ERR_INFERENCE, "Moving memories to the host", [&] {
    for (MaskletBucket& bucket : buckets_) bucket.move_to_host(context(), frame);
  });
}

int64_t BucketTracker::host_bytes() const {
  int64_t total = 0;
  for (const MaskletBucket& bucket : buckets_) total += bucket.host_bytes();
  return total;
}

int64_t BucketTracker::bytes() const {
  int64_t total = 0;
  for (const MaskletBucket& bucket : buckets_) total += bucket.bytes();
  return total;
}

std::set<int64_t> BucketTracker::pending_frames() const {
  std::set<int64_t> frames;
  for (const MaskletBucket& bucket : buckets_) frames.merge(bucket.pending_frames());
  return frames;
}

void BucketTracker::pin_pending() {
  frames_.pin(this, pending_frames());
}

bool BucketTracker::has_conditioning() const {
  return std::any_of(buckets_.begin(), buckets_.end(), [](const auto& b) { return b.bank().has_conditioning(); });
}

}  // namespace sam3
