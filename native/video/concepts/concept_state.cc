#include "video/concepts/concept_state.h"

#include <ATen/Functions.h>

#include <algorithm>

#include "core/host_values.h"
#include "video/concepts/occlusion.h"

namespace sam3 {
namespace {

constexpr int64_t kNoObjectLimit = 10000;
constexpr float kNoObjectLogit = -10.0f;
constexpr float kRemovedScore = -1e4f;

bool contains(const std::vector<int64_t>& list, int64_t id) {
  return std::find(list.begin(), list.end(), id) != list.end();
}

// Ids whose mask and detection lie in different places.
std::set<int64_t> displaced(const FramePlan& plan, const ConceptDetections& detections, const ConceptOptions& options) {
  std::set<int64_t> out;
  if (options.reconstruction_bbox_iou_thresh <= 0) return out;
  const MaskBits& bits = plan.masks.bits();
  const auto width = static_cast<float>(bits.width()), height = static_cast<float>(bits.height());
  for (const auto& [id, detection] : plan.association.confident) {
    const auto masklet = std::find(plan.masklets.begin(), plan.masklets.end(), id) - plan.masklets.begin();
    if (!bits.any(masklet)) continue;
    const auto box = bits.box(masklet);
    const std::array<float, 4> scaled = {static_cast<float>(box[0]) / width, static_cast<float>(box[1]) / height,
                                         static_cast<float>(box[2]) / width, static_cast<float>(box[3]) / height};
    if (box_iou(detections.boxes[detection], scaled) < options.reconstruction_bbox_iou_thresh &&
        detections.scores[detection] >= options.reconstruction_bbox_det_score)
      out.insert(id);
  }
  return out;
}

}  // namespace

bool ConceptState::tracks(int64_t id) const {
  return contains(metadata_.ids, id);
}

int64_t ConceptState::object_limit() const {
  return options_.max_num_objects > 0 ? options_.max_num_objects : kNoObjectLimit;
}

// A step or prompt that failed half-way may have left an object in the tracker only, or have taken it out there only.
// An object that was clicked may have joined a bucket before those of older ones.
void ConceptState::reconcile() {
  const auto tracked = tracker_.object_ids();
  if (tracked == metadata_.ids) return;
  std::vector<int64_t> strange;
  for (const int64_t id : tracked)
    if (!tracks(id)) strange.push_back(id);
  if (!strange.empty()) tracker_.remove_objects(strange);
  const auto known = metadata_.ids;
  for (const int64_t id : known)
    if (!contains(tracked, id)) remove(id);
  metadata_.ids = tracker_.object_ids();
}

FramePlan ConceptState::step(int64_t frame, bool reverse, const ConceptDetections& detections, int64_t& next_id) {
  reconcile();
  FramePlan plan;
  plan.masklets = metadata_.ids;
  if (!plan.masklets.empty()) {
    const Propagated propagated = tracker_.propagate(frame, reverse);
    plan.object_logits = to_floats(propagated.object_logits);
    plan.probabilities = to_floats(propagated.object_logits.sigmoid());
    plan.masks = LogitMasks(propagated.masks, propagated.host_masks);
    plan.masks.repair(options_.fill_hole_area);
  }
  plan.association = rules_->associate(detections, plan.masks.bits(), plan.masklets);

  ConceptMetadata next = metadata_;
  choose_new_objects(plan, detections, next_id);
  HotstartPlan hotstart =
      process_hotstart(next.hotstart, frame, reverse, plan.association, plan.new_ids, options_, rules_->hotstart());
  plan.removed = std::move(hotstart.remove);
  plan.shows_removed = !rules_->hides_removed();
  plan.hidden = std::move(hotstart.suppress);
  recondition(plan, frame, detections);
  next.last_occluded.clear();
  if (!plan.masklets.empty()) {
    suppress_occluded(plan, next, frame, reverse);
    tracker_.update_memories(frame, plan.masks.device());
  }
  if (!plan.new_ids.empty())
    tracker_.add_objects(
        frame, plan.new_ids,
        detections.masks.index_select(0, index_tensor(plan.new_detections, detections.masks.device())));
  if (!plan.removed.empty()) tracker_.remove_objects({plan.removed.begin(), plan.removed.end()});

  settle(plan, next, detections);
  metadata_ = std::move(next);
  next_id += static_cast<int64_t>(plan.new_ids.size());
  return plan;
}

void ConceptState::choose_new_objects(FramePlan& plan, const ConceptDetections& detections, int64_t next_id) const {
  plan.new_detections = plan.association.new_detections;
  const auto found = static_cast<int64_t>(plan.new_detections.size());
  const int64_t free = std::max<int64_t>(object_limit() - static_cast<int64_t>(plan.masklets.size()), 0);
  if (found > free) {
    plan.dropped = found - free;
    plan.new_detections = best_detections(plan.new_detections, detections.scores, free);
  }
  for (size_t i = 0; i < plan.new_detections.size(); i++) plan.new_ids.push_back(next_id + static_cast<int64_t>(i));
}

void ConceptState::recondition(FramePlan& plan, int64_t frame, const ConceptDetections& detections) {
  plan.shows_detection = displaced(plan, detections, options_);
  const bool is_due = options_.recondition_every_nth_frame > 0 && frame % options_.recondition_every_nth_frame == 0;
  if (!is_due && plan.shows_detection.empty()) return;
  std::vector<int64_t> corrected, chosen;
  for (const auto& [id, detection] : plan.association.confident) {
    const auto masklet = std::find(plan.masklets.begin(), plan.masklets.end(), id) - plan.masklets.begin();
    if (!rules_->may_recondition(plan.object_logits[masklet])) continue;
    if (rules_->shows_reconditioned()) plan.masks.correct(masklet, detections.masks[detection]);
    corrected.push_back(id);
    chosen.push_back(detection);
  }
  if (corrected.empty()) return;
  tracker_.recondition(frame, corrected,
                       detections.masks.index_select(0, index_tensor(chosen, detections.masks.device())));
  plan.reconditioned = std::move(corrected);
}

void ConceptState::suppress_occluded(FramePlan& plan, ConceptMetadata& metadata, int64_t frame, bool reverse) const {
  const float threshold = options_.suppress_overlapping_based_on_recent_occlusion_threshold;
  if (threshold <= 0) return;
  std::vector<int64_t> last;
  for (const int64_t id : plan.masklets) {
    const auto known = metadata_.last_occluded.find(id);
    const bool removed = plan.removed.contains(id);
    if (known != metadata_.last_occluded.end() && !(removed && rules_->removed_are_occluded()))
      last.push_back(known->second);
    else
      last.push_back(removed ? kAlwaysOccluded : kNeverOccluded);
  }
  plan.suppressed = recently_occluded(plan.masks.bits(), last, threshold, reverse);
  for (size_t i = 0; i < plan.masklets.size(); i++) {
    const auto masklet = static_cast<int64_t>(i);
    if (plan.suppressed[i] || !plan.masks.bits().any(masklet)) last[i] = frame;
    metadata.last_occluded[plan.masklets[i]] = last[i];
    if (plan.suppressed[i]) plan.masks.set(masklet, kNoObjectLogit);
  }
}

void ConceptState::settle(const FramePlan& plan, ConceptMetadata& metadata, const ConceptDetections& detections) const {
  metadata.ids.insert(metadata.ids.end(), plan.new_ids.begin(), plan.new_ids.end());
  std::erase_if(metadata.ids, [&](int64_t id) { return plan.removed.contains(id); });
  for (size_t i = 0; i < plan.new_ids.size(); i++)
    metadata.scores[plan.new_ids[i]] = detections.scores[plan.new_detections[i]];
  for (const int64_t id : plan.removed) {
    metadata.scores[id] = kRemovedScore;
    metadata.last_occluded.erase(id);
  }
  if (options_.masklet_confirmation_enable)
    update_confirmation(metadata.confirmation, metadata.ids, plan.new_ids, plan.association,
                        options_.masklet_confirmation_consecutive_det_thresh);
}

void ConceptState::click(int64_t id, bool is_new) {
  if (is_new) metadata_.ids.push_back(id);
  metadata_.scores[id] = 1.0f;
  metadata_.hotstart.removed.erase(id);
  metadata_.hotstart.clicked.insert(id);
  if (is_new) metadata_.hotstart.keep_alive[id] = options_.init_trk_keep_alive;
  if (options_.masklet_confirmation_enable)
    metadata_.confirmation.status[id] = {true, options_.masklet_confirmation_consecutive_det_thresh};
}

void ConceptState::remove(int64_t id) {
  std::erase(metadata_.ids, id);
  metadata_.scores.erase(id);
  metadata_.last_occluded.erase(id);
  metadata_.confirmation.status.erase(id);
  metadata_.hotstart.forget(id);
}

void ConceptState::forget(int64_t id) {
  if (tracks(id)) return;
  metadata_.scores.erase(id);
  metadata_.hotstart.forget(id);
}

}  // namespace sam3
