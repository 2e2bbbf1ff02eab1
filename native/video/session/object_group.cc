#include "video/session/object_group.h"

#include <ATen/Functions.h>

#include <algorithm>

#include "core/host_values.h"

namespace sam3 {
namespace {

constexpr int64_t kNumbers = 512;  // bytes of what is no mask, of an object or a frame

}  // namespace

ObjectGroup::ObjectGroup(SessionContext& context, const OutputRules& rules)
    : context_(context),
      tracker_(make_tracker(context.model, context.frames, context.options.tracker, context.options.width,
                            context.options.height, context.options.num_frames)),
      stage_(rules) {}

bool ObjectGroup::tracks(int64_t object) const {
  const auto ids = tracker_->object_ids();
  return std::find(ids.begin(), ids.end(), object) != ids.end();
}

ObjectRecord ObjectGroup::object_record(MaskRuns mask, const at::Tensor& logits, float object_logit,
                                        float probability) const {
  ObjectRecord out;
  out.mask = std::move(mask);
  out.score = out.probability = out.rank = probability;
  out.object_logit = object_logit;
  if (stage_.rules().logits) out.logits = to_floats(logits);
  return out;
}

void ObjectGroup::remove_object(int64_t object) {
  tracker_->remove_objects({object});
  stage_.remove_object(object);
}

void ObjectGroup::join(bool reverse, int64_t first, int64_t last) {
  run_ = {PropagationKind::full, first, first, last, reverse, {}, false};
}

std::pair<int64_t, int64_t> ObjectGroup::counts(int64_t frame) const {
  const FrameRecord* record = stage_.find(frame);
  if (record && record->tracked >= 0) return {record->tracked, record->dropped};
  return {static_cast<int64_t>(tracker_->object_ids().size()), 0};
}

GroupRun ObjectGroup::range_of(const RunRequest& request, int64_t start, int64_t offset) const {
  GroupRun run;
  run.start = request.start;
  run.reverse = request.reverse;
  const int64_t end = num_frames() >= 0 ? num_frames() - 1 : INT64_MAX;
  if (request.reverse) {
    run.first = start - offset;
    run.last = request.max_frames ? std::max<int64_t>(start - std::min(*request.max_frames, start), 0) : 0;
  } else {
    run.first = start;
    run.cut_short = request.max_frames && *request.max_frames <= end - start;
    run.last = run.cut_short ? start + *request.max_frames : end;
  }
  return run;
}

void ObjectGroup::tidy(int64_t newest, const std::set<int64_t>& waiting) {
  if (context_.options.full_history) return tracker_->move_to_host(newest);
  tracker_->prune(newest);
  std::set<int64_t> keep = waiting;
  keep.insert(newest);
  stage_.keep_only(keep);
}

std::vector<int64_t> ObjectGroup::tracked_on(int64_t frame) const {
  return run_.covers(frame) ? tracker_->object_ids() : std::vector<int64_t>{};
}

int64_t ObjectGroup::record_bytes(int64_t changes) const {
  const int64_t side = context_.model.mask_side();
  const int64_t runs = context_.options.width * (changes + 1) * static_cast<int64_t>(sizeof(uint32_t));
  return runs + kNumbers + (context_.options.logits ? side * side * 4 : 0);
}

int64_t ObjectGroup::growth_of_step(int64_t frame, const std::vector<int64_t>& objects, int64_t added) const {
  // A column changes at most once between two rows of a low-resolution mask.
  const int64_t record = record_bytes(context_.model.mask_side());
  return tracker_->growth_of_step(frame, run_.reverse, objects, added) + kNumbers +
         (static_cast<int64_t>(objects.size()) + added) * record;
}

int64_t ObjectGroup::growth_of_prompt(int64_t frame, int64_t object, bool mask) const {
  const int64_t record = record_bytes(mask ? context_.options.height : context_.model.mask_side());
  return tracker_->growth_of_prompt(frame, object) + kNumbers +
         (static_cast<int64_t>(tracker_->object_ids().size()) + 1) * record;
}

MaskRuns runs_of_mask(const at::Tensor& mask) {
  // Between pixels of 1 and -1 nothing is interpolated at its own size.
  const auto logits = mask.to(at::kCPU, at::kFloat).mul(2).sub_(1).unsqueeze(0);
  return runs_from_logits(logits, mask.size(1), mask.size(0)).masks[0];
}

}  // namespace sam3
