#include "video/session/concept_group.h"

#include <ATen/Functions.h>

#include <algorithm>
#include <string>

#include "core/error.h"
#include "core/host_values.h"

namespace sam3 {
namespace {

OutputRules rules_of(const VideoOptions& options) {
  return {options.width, options.height, options.logits, /*exclusive=*/true, /*show_empty=*/false};
}

ConceptPrompt without_box(ConceptPrompt prompt) {
  prompt.boxes.clear();
  prompt.labels.clear();
  return prompt;
}

}  // namespace

ConceptGroup::ConceptGroup(SessionContext& context, int64_t index, const ConceptPrompt& prompt, int64_t frame)
    : ObjectGroup(context, rules_of(context.options)),
      index_(index),
      prompt_frame_(frame),
      merges_(index < 0),
      plain_(without_box(prompt)),
      boxed_(prompt),
      state_(*tracker_, context.rules),
      history_(merges_, context.leaves_out(&MultiplexOptions::compute_missing_frames)),
      ahead_(frame),
      earliest_(frame) {}

bool ConceptGroup::drop_concept(int64_t index) {
  if (index < 0 || index != index_) return false;
  for (const int64_t id : tracker_->object_ids())
    if (!clicked_.contains(id)) remove_object(id);
  index_ = -1;
  first_look_.reset();
  return true;
}

void ConceptGroup::start(const ConceptDetections& detections) {
  track(prompt_frame_, /*reverse=*/false, detections);
  first_look_.emplace(prompt_frame_, detections);
}

bool ConceptGroup::boxed(int64_t frame) const {
  if (context_.rules->looks_ahead()) return ahead_.boxed(frame);
  return frame == prompt_frame_ && context_.options.concepts.use_boxes_in_propagation;
}

const ConceptDetections* ConceptGroup::remembered(int64_t frame) const {
  if (!context_.rules->looks_ahead()) return nullptr;
  return first_look_ && first_look_->first == frame && ahead_.boxed(frame) ? &first_look_->second : nullptr;
}

// The box belongs to its own frame, and without a text nothing is detected on others. See LookAhead for what comes of
// it.
const ConceptPrompt* ConceptGroup::prompt_on(int64_t frame) const {
  if (index_ < 0 || !run_.covers(frame) || kind_on(frame) != PropagationKind::full) return nullptr;
  if (!boxed_.has_text && frame != prompt_frame_) return nullptr;
  return boxed(frame) ? &boxed_ : &plain_;
}

void ConceptGroup::ask_ahead(int64_t frame) {
  if (run_.covers(frame) && kind_on(frame) == PropagationKind::full) tracker_->ask_ahead(frame, run_.reverse);
}

void ConceptGroup::track(int64_t frame, bool reverse, const ConceptDetections& detections) {
  drop_promptless();
  FramePlan plan;
  {
    const StageTimer timer(context_.frames.clock(), &StageTimes::associate);
    plan = state_.step(frame, reverse, detections, context_.next_id);
  }
  const StageTimer timer(context_.frames.clock(), &StageTimes::output);
  stage_.store(frame, record_of(plan, detections, state_.metadata(), state_.options(), stage_.rules()));
  if (state_.options().masklet_confirmation_enable && state_.options().hotstart_delay > 0)
    stage_.note_unconfirmed(frame, state_.metadata().confirmation.unconfirmed(state_.metadata().ids));
  earliest_ = std::min(earliest_, frame);
  ahead_.looked_at(frame, reverse, num_frames());
}

// Objects whose last prompt was taken back cannot be found again.
void ConceptGroup::drop_promptless() {
  const bool fails = context_.model.program().is_multiplex() && !context_.options.tracker.keep_last_cond_frame;
  if (fails || tracker_->has_conditioning()) return;
  for (const int64_t id : tracker_->object_ids()) remove_object(id);
}

GroupRun ConceptGroup::plan(const RunRequest& request) const {
  const auto next = history_.next(num_frames());
  GroupRun run = range_of(request, request.start.value_or(earliest_), 1);
  const bool known = run.empty() || as_planned(next.kind) || stage_.computed(run.first);
  run.kind = known ? next.kind : PropagationKind::full;
  run.objects = next.objects;
  return run;
}

void ConceptGroup::begin(const GroupRun& run) {
  run_ = run;
  history_.begin({run.kind, run.objects}, run.start);
  stage_.forget_unconfirmed();
}

void ConceptGroup::join(bool reverse, int64_t first, int64_t last) {
  ObjectGroup::join(reverse, first, last);
  history_.begin({}, first);
}

void ConceptGroup::end() {
  history_.finish();
  run_ = {};
}

bool ConceptGroup::as_planned(PropagationKind kind) const {
  return merges_ || (kind == PropagationKind::fetch && context_.leaves_out(&MultiplexOptions::compute_missing_frames));
}

PropagationKind ConceptGroup::kind_on(int64_t frame) const {
  return as_planned(run_.kind) || stage_.computed(frame) ? run_.kind : PropagationKind::full;
}

int64_t ConceptGroup::delay() const {
  if (run_.empty()) return 0;
  const auto [low, high] = std::minmax(run_.first, run_.last);
  const bool missing = high == INT64_MAX || stage_.computed(low, high) < high - low + 1;
  const bool detects = run_.kind == PropagationKind::full || (missing && !as_planned(run_.kind));
  return detects ? state_.options().hotstart_delay : 0;
}

std::vector<int64_t> ConceptGroup::tracked_on(int64_t frame) const {
  if (!run_.covers(frame) || kind_on(frame) == PropagationKind::full) return ObjectGroup::tracked_on(frame);
  return kind_on(frame) == PropagationKind::fetch ? std::vector<int64_t>{} : clicked_to_track();
}

void ConceptGroup::step(int64_t frame, const ConceptDetections& detections) {
  switch (kind_on(frame)) {
    case PropagationKind::full:
      if (run_.cut_short && frame == run_.last && context_.leaves_out(&MultiplexOptions::track_last_of_max_frames))
        throw Error(ERR_INFERENCE,
                    "The reference fails on frame " + std::to_string(frame) + ", the last one that maxFrames allows.",
                    "Leave trackLastOfMaxFrames out.");
      track(frame, run_.reverse, detections);
      if (first_look_ && first_look_->first == frame) first_look_.reset();
      break;
    case PropagationKind::partial: track_clicked(frame); break;
    case PropagationKind::fetch:
      if (as_planned(run_.kind) && !stage_.has(frame))
        throw Error(ERR_INFERENCE,
                    "Frame " + std::to_string(frame) + " has no results that could be shown again, and the reference " +
                        "computes none after an object was removed.",
                    "Leave computeMissingFrames out.");
      break;
  }
}

std::vector<int64_t> ConceptGroup::clicked_to_track() const {
  std::vector<int64_t> objects;
  for (const int64_t id : run_.objects)
    if (tracks(id) && tracker_->has_conditioning(id)) objects.push_back(id);
  return objects;
}

void ConceptGroup::track_clicked(int64_t frame) {
  const auto objects = clicked_to_track();
  if (objects.empty()) return;
  const auto ids = tracker_->bucket_ids(objects);
  const Propagated found = tracker_->propagate_some(frame, run_.reverse, objects, /*encode_memory=*/true);
  const StageTimer timer(context_.frames.clock(), &StageTimes::output);
  LogitMasks masks(found.masks, found.host_masks);
  masks.repair(state_.options().fill_hole_area);
  const auto logits = to_floats(found.object_logits), probabilities = to_floats(found.object_logits.sigmoid());
  for (size_t i = 0; i < ids.size(); i++) {
    if (std::find(objects.begin(), objects.end(), ids[i]) == objects.end()) continue;
    const auto row = static_cast<int64_t>(i);
    auto runs = runs_from_logits(masks.host().narrow(0, row, 1), stage_.rules().width, stage_.rules().height);
    ObjectRecord object = object_record(std::move(runs.masks[0]), masks.host()[row], logits[i], probabilities[i]);
    object.score = state_.metadata().scores.at(ids[i]);
    object.rank = logits[i];  // the reference ranks refined objects by their logit
    put(frame, ids[i], std::move(object));
    if (context_.leaves_out(&MultiplexOptions::repeat_clicks_after_tracking))
      tracked_again_[ids[i]].emplace(frame, false);
  }
  if (merges_ && !stage_.has(frame)) stage_.store(frame, {});
}

void ConceptGroup::put(int64_t frame, int64_t object, ObjectRecord record) {
  if (!merges_ || stage_.has(frame)) stage_.put(frame, object, std::move(record));
}

// Without memory the first click is looked at afresh, and the next one with what that gave: there the reference fails.
void ConceptGroup::check_repeated(int64_t frame, int64_t object) const {
  const auto known = tracked_again_.find(object);
  if (known == tracked_again_.end()) return;
  const auto met = known->second.find(frame);
  if (met != known->second.end() && met->second)
    throw Error(ERR_INVALID_ARGUMENT,
                "Object " + std::to_string(object) + " was clicked on frame " + std::to_string(frame) +
                    " after it was followed to it; the reference fails on a second click there.",
                "Leave repeatClicksAfterTracking out.");
}

template <class Prompt>
void ConceptGroup::click(int64_t frame, int64_t object, Prompt&& prompt) {
  const bool known = tracks(object);
  bool is_new = !known;
  if (known && state_.options().use_stateless_refinement && !history_.was_clicked(object)) {
    ObjectGroup::remove_object(object);
    state_.remove(object);
    is_new = true;
  }
  const BucketFrame found = prompt();
  try {
    tracker_->preflight({object});  // at once: the next propagation may meet this frame as any other
  } catch (...) {
    if (is_new) tracker_->remove_objects({object});  // the decisions do not know it yet
    throw;
  }
  tracker_->clear_mask_prompts_around(frame, object, state_.options().refinement_detector_cond_frame_removal_window);

  const StageTimer timer(context_.frames.clock(), &StageTimes::output);
  const auto place = std::find(found.ids.begin(), found.ids.end(), object) - found.ids.begin();
  const auto& rules = stage_.rules();
  const MaskRuns mask = found.given[place].defined()
                            ? runs_of_mask(found.given[place])
                            : runs_from_logits(found.masks.narrow(0, place, 1), rules.width, rules.height).masks[0];
  ObjectRecord record =
      object_record(repaired(mask, rules.height, state_.options().fill_hole_area), found.masks[place],
                    to_floats(found.object_logits)[place], to_floats(found.object_logits.sigmoid())[place]);
  record.score = record.rank = 1.0f;
  stage_.unhide(object);
  put(frame, object, std::move(record));
  if (merges_ && !stage_.has(frame)) stage_.store(frame, {});

  state_.click(object, is_new);
  history_.click(object, is_new);
  if (!known && !state_.metadata().hotstart.first_frame.contains(object)) clicked_.insert(object);
  context_.next_id = std::max(context_.next_id, object + 1);
}

void ConceptGroup::add_points(int64_t frame, int64_t object, const ClickPrompt& input) {
  check_repeated(frame, object);
  ClickPrompt points = input;
  points.use_prev_mem_frame = input.use_prev_mem_frame || state_.options().use_prev_mem_frame;
  click(frame, object, [&] { return tracker_->add_points(frame, object, points); });
  const auto again = tracked_again_.find(object);
  if (again == tracked_again_.end()) return;
  if (const auto met = again->second.find(frame); met != again->second.end()) met->second = true;
}

void ConceptGroup::add_mask(int64_t frame, int64_t object, const at::Tensor& mask) {
  click(frame, object, [&] { return tracker_->add_mask(frame, object, mask); });
}

void ConceptGroup::clear_prompts(int64_t frame, int64_t object) {
  tracker_->clear_inputs(frame, object);
  history_.click(object, /*is_new=*/false);  // what was found with the prompt has to be computed again
}

void ConceptGroup::remove_object(int64_t object) {
  ObjectGroup::remove_object(object);
  state_.remove(object);
  history_.remove(object);
  clicked_.erase(object);
  tracked_again_.erase(object);
}

std::vector<TrackedObject> ConceptGroup::labelled(std::vector<TrackedObject> objects) const {
  for (TrackedObject& object : objects) {
    object.concept_index = concept_of(object.id);
    // The score as of now: a click raises it on all frames. One that was removed keeps what it was shown with.
    const auto known = state_.metadata().scores.find(object.id);
    if (known != state_.metadata().scores.end() && !state_.metadata().hotstart.removed.contains(object.id))
      object.score = known->second;
  }
  return objects;
}

std::vector<TrackedObject> ConceptGroup::look(int64_t frame) const {
  return labelled(stage_.look(frame));
}

std::vector<TrackedObject> ConceptGroup::finalise(int64_t frame) {
  const FrameRecord* record = stage_.find(frame);
  if (!record || record->settled) return look(frame);
  const std::set<int64_t> none;
  return labelled(stage_.finalise(frame, context_.rules->hides_removed() ? state_.metadata().hotstart.removed : none,
                                  state_.options().masklet_confirmation_consecutive_det_thresh - 1, run_.reverse,
                                  num_frames()));
}

void ConceptGroup::tidy(int64_t newest, const std::set<int64_t>& waiting) {
  ObjectGroup::tidy(newest, waiting);
  if (first_look_ && (run_.reverse ? newest < first_look_->first : newest > first_look_->first)) first_look_.reset();
  forget_removed(waiting);
}

// A removed object has to be known until no frame is waiting that could show it.
void ConceptGroup::forget_removed(const std::set<int64_t>& waiting) {
  const auto removed = state_.metadata().hotstart.removed;
  for (const int64_t id : removed) {
    const bool shown = std::any_of(waiting.begin(), waiting.end(), [&](int64_t frame) {
      const FrameRecord* record = stage_.find(frame);
      return record && !record->settled && record->objects.contains(id);
    });
    if (!shown) state_.forget(id);
  }
}

}  // namespace sam3
