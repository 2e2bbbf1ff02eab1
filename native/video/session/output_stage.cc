#include "video/session/output_stage.h"

#include <algorithm>
#include <cmath>

#include "core/host_values.h"

namespace sam3 {
namespace {

int64_t bytes_of(const FrameRecord& record) {
  constexpr int64_t kNode = 64;  // of a map, about
  int64_t bytes = kNode;
  for (const auto& [id, object] : record.objects)
    bytes += kNode + static_cast<int64_t>(sizeof(ObjectRecord) + object.mask.runs.capacity() * sizeof(uint32_t) +
                                          object.logits.capacity() * sizeof(float));
  return bytes;
}

// Masks that have no pixel are not resized: interpolation between logits of one sign cannot change it.
std::vector<MaskRuns> resized(const at::Tensor& logits, const MaskBits& bits, const std::vector<int64_t>& wanted,
                              const OutputRules& rules) {
  std::vector<int64_t> rows;
  for (const int64_t row : wanted)
    if (bits.any(row)) rows.push_back(row);
  auto set = rows.empty() ? MaskSet{}
                          : runs_from_logits(logits.index_select(0, index_tensor(rows, logits.device())), rules.width,
                                             rules.height);
  std::vector<MaskRuns> out(wanted.size());
  for (size_t i = 0, next = 0; i < wanted.size(); i++)
    if (next < rows.size() && rows[next] == wanted[i])
      out[i] = std::move(set.masks[next++]);
    else
      out[i].runs = {static_cast<uint32_t>(rules.width * rules.height)};
  return out;
}

}  // namespace

FrameRecord record_of(const FramePlan& plan, const ConceptDetections& detections, const ConceptMetadata& metadata,
                      const ConceptOptions& options, const OutputRules& rules) {
  FrameRecord out;
  out.hidden = plan.hidden;
  out.tracked = static_cast<int64_t>(metadata.ids.size());
  out.dropped = plan.dropped;

  std::vector<int64_t> rows;  // masklets that are shown
  for (size_t i = 0; i < plan.masklets.size(); i++)
    if (plan.shows_removed || !plan.removed.contains(plan.masklets[i])) rows.push_back(static_cast<int64_t>(i));
  auto masks = resized(plan.masks.host(), plan.masks.bits(), rows, rules);
  for (size_t i = 0; i < rows.size(); i++) {
    const int64_t row = rows[i], id = plan.masklets[row];
    ObjectRecord& object = out.objects[id];
    object.mask = std::move(masks[i]);
    object.score = metadata.scores.at(id);
    object.probability = object.rank = plan.probabilities[row];
    object.object_logit = plan.object_logits[row];
    if (rules.logits) object.logits = to_floats(plan.masks.host()[row]);
  }

  if (!plan.new_ids.empty()) {
    LogitMasks found(detections.masks.index_select(0, index_tensor(plan.new_detections, detections.masks.device())));
    found.repair(options.fill_hole_area);
    std::vector<int64_t> all(plan.new_ids.size());
    for (size_t i = 0; i < all.size(); i++) all[i] = static_cast<int64_t>(i);
    masks = resized(found.host(), found.bits(), all, rules);
    for (size_t i = 0; i < all.size(); i++) {
      ObjectRecord& object = out.objects[plan.new_ids[i]];
      const float score = detections.scores[plan.new_detections[i]];
      object.mask = std::move(masks[i]);
      object.score = object.probability = object.rank = score;
      object.object_logit = std::log(score / (1 - score));
      if (rules.logits) object.logits = to_floats(found.host()[static_cast<int64_t>(i)]);
    }
  }

  for (const auto& [id, detection] : plan.association.confident) {
    if (!plan.shows_detection.contains(id) || !out.objects.contains(id)) continue;
    const at::Tensor mask = detections.masks.narrow(0, detection, 1).to(at::kCPU);
    out.objects[id].mask = runs_from_logits(mask, rules.width, rules.height).masks[0];
    if (rules.logits) out.objects[id].logits = to_floats(mask);
  }
  return out;
}

const FrameRecord* OutputStage::find(int64_t frame) const {
  const auto known = records_.find(frame);
  return known == records_.end() ? nullptr : &known->second;
}

bool OutputStage::computed(int64_t frame) const {
  const FrameRecord* known = find(frame);
  return known && known->tracked >= 0;
}

int64_t OutputStage::computed(int64_t first, int64_t last) const {
  return std::count_if(records_.lower_bound(first), records_.upper_bound(last),
                       [](const auto& item) { return item.second.tracked >= 0; });
}

// Every change of records goes through here or keep_only(), which keep count of the bytes.
void OutputStage::change(int64_t frame, const std::function<void(FrameRecord&)>& body) {
  const auto [known, is_new] = records_.try_emplace(frame);
  if (!is_new) bytes_ -= bytes_of(known->second);
  body(known->second);
  bytes_ += bytes_of(known->second);
}

void OutputStage::store(int64_t frame, FrameRecord record) {
  change(frame, [&](FrameRecord& known) {
    record.hidden.merge(known.hidden);
    known = std::move(record);
  });
}

void OutputStage::put(int64_t frame, int64_t id, ObjectRecord object) {
  change(frame, [&](FrameRecord& known) { known.objects[id] = std::move(object); });
}

void OutputStage::unhide(int64_t id) {
  for (auto& [frame, record] : records_) record.hidden.erase(id);
}

void OutputStage::note_unconfirmed(int64_t frame, std::vector<int64_t> ids) {
  unconfirmed_[frame] = std::move(ids);
}

std::vector<TrackedObject> OutputStage::look(int64_t frame) const {
  const FrameRecord* known = find(frame);
  return known ? show(*known, known->hidden) : std::vector<TrackedObject>{};
}

std::vector<TrackedObject> OutputStage::finalise(int64_t frame, const std::set<int64_t>& removed, int64_t delay,
                                                 bool reverse, int64_t num_frames) {
  std::vector<TrackedObject> out;
  if (!has(frame)) return out;
  change(frame, [&](FrameRecord& known) {
    std::set<int64_t> hidden = known.hidden;
    hidden.insert(removed.begin(), removed.end());
    hidden.merge(unconfirmed_at(frame, delay, reverse, num_frames));
    out = show(known, hidden);
    std::erase_if(known.objects, [&](const auto& item) { return hidden.contains(item.first); });
    known.settled = true;
  });
  return out;
}

// A frame that was left out takes the next one that was not.
std::set<int64_t> OutputStage::unconfirmed_at(int64_t frame, int64_t delay, bool reverse, int64_t num_frames) const {
  int64_t later = reverse ? std::max<int64_t>(frame - delay, 0) : frame + delay;
  if (!reverse && num_frames > 0) later = std::min(later, num_frames - 1);
  auto found = unconfirmed_.lower_bound(later);
  if (reverse && (found == unconfirmed_.end() || found->first != later)) {
    if (found == unconfirmed_.begin()) return {};
    --found;
  }
  if (found == unconfirmed_.end()) return {};
  return {found->second.begin(), found->second.end()};
}

std::vector<TrackedObject> OutputStage::show(const FrameRecord& record, const std::set<int64_t>& hidden) const {
  std::vector<TrackedObject> out;
  std::vector<MaskRuns> masks;
  std::vector<float> ranks;
  for (const auto& [id, object] : record.objects) {
    if ((object.mask.area == 0 && !rules_.show_empty) || hidden.contains(id)) continue;
    TrackedObject shown;
    shown.id = id;
    shown.score = object.score;
    shown.tracker_score = object.probability;
    shown.box = object.mask.box;
    shown.object_logit = object.object_logit;
    shown.logits = object.logits;
    out.push_back(std::move(shown));
    masks.push_back(object.mask);
    ranks.push_back(object.rank);
  }
  if (rules_.exclusive) make_exclusive(masks, ranks, rules_.height);
  for (size_t i = 0; i < out.size(); i++) out[i].mask = std::move(masks[i]);
  return out;
}

void OutputStage::remove_object(int64_t id) {
  for (auto& [frame, record] : records_) change(frame, [&](FrameRecord& known) { known.objects.erase(id); });
}

void OutputStage::keep_only(const std::set<int64_t>& keep) {
  std::erase_if(records_, [&](const auto& item) {
    if (keep.contains(item.first)) return false;
    bytes_ -= bytes_of(item.second);
    return true;
  });
  std::erase_if(unconfirmed_, [&](const auto& item) { return !keep.contains(item.first); });
}

std::vector<int64_t> PendingFrames::push(int64_t frame, bool last) {
  frames_.push_back(frame);
  if (last) return flush();
  if (static_cast<int64_t>(frames_.size()) < std::max<int64_t>(delay_, 1)) return {};
  const int64_t ready = frames_.front();
  frames_.pop_front();
  return {ready};
}

std::vector<int64_t> PendingFrames::flush() {
  std::vector<int64_t> out(frames_.begin(), frames_.end());
  frames_.clear();
  return out;
}

}  // namespace sam3
