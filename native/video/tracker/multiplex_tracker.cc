#include "video/tracker/multiplex_tracker.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <map>
#include <optional>

#include "core/host_values.h"

namespace sam3 {

std::vector<int64_t> MultiplexTracker::in_order(std::vector<int64_t> ids) const {
  const auto place = [&](int64_t id) { return std::find(order_.begin(), order_.end(), id); };
  std::sort(ids.begin(), ids.end(), [&](int64_t a, int64_t b) { return place(a) < place(b); });
  return ids;
}

MultiplexTracker::Asked MultiplexTracker::ask(int64_t frame, bool reverse, const std::vector<size_t>& moving,
                                              bool encode_memory) {
  const Program::Levels image = frames_.propagation(frame);
  const int64_t size = model_.input_size();
  Asked out;
  std::vector<at::Tensor> found;
  for (const size_t i : moving) {
    const MultiplexState& state = buckets_[i];
    const auto view = state.view(context(), frame, reverse);
    auto tracked = network_.decode(image, network_.attend(image, view), state.slots());
    SlotOutput output;
    output.masks = tracked.masks;
    output.pointers = tracked.pointers;
    output.ids = state.ids();
    if (encode_memory) {
      output.memory = network_.encode_memory(image,
                                             [&](int64_t begin, int64_t count) {
                                               const auto low = tracked.masks.narrow(0, begin, count).unsqueeze(1);
                                               return at::upsample_bilinear2d(low, {size, size}, false).squeeze(1);
                                             },
                                             tracked.object_logits, state.slots(), {});
      output.image = image.coarse;
    }
    found.push_back(tracked.masks);
    found.push_back(tracked.object_logits);
    out.tracked.push_back({tracked.masks, {}, {}, std::move(output)});
  }
  out.copy = HostCopy(found);
  return out;
}

std::vector<MultiplexTracker::Tracked> MultiplexTracker::receive(Asked asked) const {
  asked.copy.wait();
  const auto& host = asked.copy.tensors();
  for (size_t k = 0; k < asked.tracked.size(); k++) {
    Tracked& one = asked.tracked[k];
    one.host_masks = host[2 * k];
    one.object_logits = one.output.object_logits = host[2 * k + 1].clone();
  }
  return std::move(asked.tracked);
}

void MultiplexTracker::update_memories(int64_t frame, const at::Tensor& masks) {
  const auto ids = object_ids();
  if (masks.size(0) != static_cast<int64_t>(ids.size()))
    throw Error(ERR_INTERNAL, "update_memories got " + std::to_string(masks.size(0)) + " masks for " +
                                  std::to_string(ids.size()) + " objects.");
  if (ids.empty()) return;
  translate(ERR_INFERENCE, "Updating memory", [&] {
    const int64_t size = 16 * model_.grid();
    const FinalMasks all(masks, size, network_.objects_per_batch(10 * size * size));
    const Program::Levels image = frames_.propagation(frame);
    std::vector<at::Tensor> memories;
    for (const MultiplexState& state : buckets_) {
      std::vector<int64_t> rows;
      std::set<int64_t> conditioning;
      const SlotOutput* known = state.bank().find(frame);
      for (const int64_t id : state.ids()) {
        if (known && known->conditioning.contains(id)) conditioning.insert(static_cast<int64_t>(rows.size()));
        rows.push_back(std::find(ids.begin(), ids.end(), id) - ids.begin());
      }
      const FinalMasks own = all.select(rows);
      memories.push_back(network_.encode_memory(
          image, [&](int64_t begin, int64_t count) { return own.logits(begin, count); }, own.object_logits(),
          state.slots(), conditioning));
    }
    for (size_t i = 0; i < buckets_.size(); i++) buckets_[i].set_memory(frame, memories[i], image.coarse);
  });
}

void MultiplexTracker::add_objects(int64_t frame, const std::vector<int64_t>& ids, const at::Tensor& masks) {
  if (ids.empty()) return;
  translate(ERR_INFERENCE, "Adding objects",
            [&] { add_masks(frame, ids, prompts_of_detections(masks, model_.grid(), height_, width_)); });
}

void MultiplexTracker::add_masks(int64_t frame, const std::vector<int64_t>& ids, const MaskPrompts& masks) {
  std::vector<SlotAssignment> slots;
  for (const MultiplexState& state : buckets_) slots.push_back(state.slots());
  const auto place = state_for(slots, static_cast<int64_t>(ids.size()));
  MultiplexState changed = place ? buckets_[*place] : new_bucket();
  changed.add_masks(context(), frame, ids, masks, /*conditions=*/false);
  changed.preflight(context());
  if (place)
    buckets_[*place] = std::move(changed);
  else
    buckets_.push_back(std::move(changed));
  order_.insert(order_.end(), ids.begin(), ids.end());
}

void MultiplexTracker::recondition(int64_t frame, const std::vector<int64_t>& objects, const at::Tensor& masks) {
  if (objects.empty()) return;
  translate(ERR_INFERENCE, "Reconditioning objects",
            [&] { correct_masks(frame, objects, prompts_of_detections(masks, model_.grid(), height_, width_)); });
}

void MultiplexTracker::correct_masks(int64_t frame, const std::vector<int64_t>& ids, const MaskPrompts& masks) {
  std::map<size_t, MultiplexState> changed;
  for (const size_t i : buckets_of(ids)) {
    std::vector<int64_t> own, rows;
    for (size_t k = 0; k < ids.size(); k++) {
      if (!buckets_[i].contains(ids[k])) continue;
      own.push_back(ids[k]);
      rows.push_back(static_cast<int64_t>(k));
    }
    const at::Tensor index = index_tensor(rows, masks.inputs.device());
    MultiplexState& state = changed.emplace(i, buckets_[i]).first->second;
    state.add_masks(context(), frame, own, {masks.inputs.index_select(0, index), masks.given.index_select(0, index)},
                    /*conditions=*/false);
    state.preflight(context());
  }
  for (auto& [i, state] : changed) buckets_[i] = std::move(state);
}

Propagated MultiplexTracker::propagate_some(int64_t frame, bool reverse, const std::vector<int64_t>& objects,
                                            bool encode_memory) {
  if (!options_.keep_last_cond_frame)
    for (const size_t i : buckets_of(objects))
      if (!buckets_[i].bank().has_conditioning())
        throw Error(ERR_NO_PROMPT, "Objects lost the only frame with their prompts, and the reference fails there.",
                    "Leave keepLastCondFrame out.");
  return GroupedTracker::propagate_some(frame, reverse, objects, encode_memory);
}

void MultiplexTracker::clear_mask_prompts_around(int64_t frame, int64_t object, int64_t) {
  bucket_of(object).forget_masks(frame);
}

void MultiplexTracker::remove_objects(const std::vector<int64_t>& ids) {
  GroupedTracker::remove_objects(ids);
  std::erase_if(order_, [&](int64_t id) { return std::find(ids.begin(), ids.end(), id) != ids.end(); });
}

// That of the object alone.
size_t MultiplexTracker::home_of(int64_t object) const {
  const auto place = std::find_if(buckets_.begin(), buckets_.end(),
                                  [&](const auto& b) { return b.contains(object) && b.ids().size() == 1; });
  return static_cast<size_t>(place - buckets_.begin());
}

int64_t MultiplexTracker::growth_of_prompt(int64_t frame, int64_t object) const {
  int64_t total = GroupedTracker::growth_of_prompt(frame, object);
  for (const MultiplexState& state : buckets_)
    if (state.contains(object) && state.ids().size() > 1) total += state.bank().extracted_bytes(object);
  return total;
}

template <class Body>
BucketFrame MultiplexTracker::prompt(int64_t frame, int64_t object, Body&& body) {
  return translate(ERR_INFERENCE, "Adding a prompt", [&] {
    const auto place =
        std::find_if(buckets_.begin(), buckets_.end(), [&](const auto& b) { return b.contains(object); });
    std::optional<MultiplexState> rest;  // of the state that the object leaves
    MultiplexState changed = new_bucket();
    if (place != buckets_.end()) {
      changed = *place;
      if (changed.ids().size() > 1) {
        rest = *place;
        changed = rest->extract(object);
      }
    }
    body(changed);
    BucketFrame out = changed.on_frame(context(), frame);
    if (place == buckets_.end()) {
      buckets_.push_back(std::move(changed));
      order_.push_back(object);
    } else if (rest) {
      *place = std::move(*rest);
      buckets_.push_back(std::move(changed));
    } else {
      *place = std::move(changed);
    }
    pin_pending();
    return out;
  });
}

BucketFrame MultiplexTracker::add_points(int64_t frame, int64_t object, const ClickPrompt& input) {
  return prompt(frame, object, [&](MultiplexState& state) { state.add_points(context(), frame, object, input); });
}

BucketFrame MultiplexTracker::add_mask(int64_t frame, int64_t object, const at::Tensor& mask) {
  return prompt(frame, object, [&](MultiplexState& state) {
    state.add_masks(
        context(), frame, {object},
        prompts_of_masks(mask.unsqueeze(0), model_.program().target().device, model_.grid(), height_, width_),
        /*conditions=*/true);
  });
}

}  // namespace sam3
