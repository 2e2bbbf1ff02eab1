#include "video/session/click_group.h"

#include <ATen/Functions.h>

#include <algorithm>

#include "core/host_values.h"

namespace sam3 {
namespace {

OutputRules rules_of(const VideoOptions& options) {
  return {options.width, options.height, options.logits, /*exclusive=*/false, /*show_empty=*/true};
}

}  // namespace

ClickGroup::ClickGroup(SessionContext& context) : ObjectGroup(context, rules_of(context.options)) {}

void ClickGroup::note_prompt(int64_t frame, int64_t object) {
  prompted_[object].insert(frame);
  context_.next_id = std::max(context_.next_id, object + 1);
}

void ClickGroup::add_points(int64_t frame, int64_t object, const ClickPrompt& input) {
  const BucketFrame found = tracker_->add_points(frame, object, input);
  note_prompt(frame, object);
  store(frame, found);
}

void ClickGroup::add_mask(int64_t frame, int64_t object, const at::Tensor& mask) {
  const BucketFrame found = tracker_->add_mask(frame, object, mask);
  note_prompt(frame, object);
  store(frame, found);
}

void ClickGroup::clear_prompts(int64_t frame, int64_t object) {
  const BucketFrame found = tracker_->clear_inputs(frame, object);
  prompted_[object].erase(frame);
  store(frame, found);
}

void ClickGroup::remove_object(int64_t object) {
  ObjectGroup::remove_object(object);
  prompted_.erase(object);
}

// The objects of one bucket on a frame with prompts.
void ClickGroup::store(int64_t frame, const BucketFrame& found) {
  const StageTimer timer(context_.frames.clock(), &StageTimes::output);
  auto masks = runs_from_logits(found.masks, stage_.rules().width, stage_.rules().height).masks;
  const auto logits = to_floats(found.object_logits), probabilities = to_floats(found.object_logits.sigmoid());
  for (size_t i = 0; i < found.ids.size(); i++) {
    if (found.given[i].defined()) masks[i] = runs_of_mask(found.given[i]);
    const at::Tensor low_res = found.masks[static_cast<int64_t>(i)];
    stage_.put(frame, found.ids[i], object_record(std::move(masks[i]), low_res, logits[i], probabilities[i]));
  }
}

bool ClickGroup::has_prompts() const {
  return std::any_of(prompted_.begin(), prompted_.end(), [](const auto& item) { return !item.second.empty(); });
}

GroupRun ClickGroup::plan(const RunRequest& request) const {
  int64_t earliest = INT64_MAX;
  for (const auto& [object, frames] : prompted_)
    if (!frames.empty()) earliest = std::min(earliest, *frames.begin());
  return range_of(request, request.start.value_or(earliest), 0);
}

void ClickGroup::step(int64_t frame, const ConceptDetections&) {
  tracker_->preflight();
  if (!tracker_->has_conditioning()) return;
  const auto ids = tracker_->object_ids();
  const Propagated found = tracker_->propagate_some(frame, run_.reverse, ids);
  const StageTimer timer(context_.frames.clock(), &StageTimes::output);
  auto masks = runs_from_logits(found.host_masks, stage_.rules().width, stage_.rules().height).masks;
  const auto logits = to_floats(found.object_logits), probabilities = to_floats(found.object_logits.sigmoid());
  FrameRecord record;
  record.tracked = static_cast<int64_t>(ids.size());
  for (size_t i = 0; i < ids.size(); i++) {
    const at::Tensor low_res = found.host_masks[static_cast<int64_t>(i)];
    record.objects[ids[i]] = object_record(std::move(masks[i]), low_res, logits[i], probabilities[i]);
  }
  stage_.store(frame, std::move(record));
}

}  // namespace sam3
