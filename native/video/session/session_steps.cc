// The propagation of a session, frame by frame.
#include <algorithm>

#include "core/error.h"
#include "video/session/session_state.h"

namespace sam3 {
namespace {

// After so many frames that are not held none is expected: a propagation to the end of a stream has no last frame.
constexpr int64_t kMissingFrames = 1024;

std::optional<PropagationKind> widest_kind(const std::vector<std::unique_ptr<ObjectGroup>>& groups) {
  std::optional<PropagationKind> widest;
  for (const auto& group : groups)
    if (const auto kind = group->kind()) widest = std::min(widest.value_or(*kind), *kind);
  return widest;
}

// Work of trackers that the device was asked for before the detector's answers are read. None of it is left when the
// step has ended, well or not.
class AheadOfDetections {
 public:
  explicit AheadOfDetections(const std::vector<std::unique_ptr<ObjectGroup>>& groups) : groups_(groups) {}
  ~AheadOfDetections() {
    for (const auto& group : groups_) group->forget_ahead();
  }
  AheadOfDetections(const AheadOfDetections&) = delete;
  AheadOfDetections& operator=(const AheadOfDetections&) = delete;

 private:
  const std::vector<std::unique_ptr<ObjectGroup>>& groups_;
};

}  // namespace

PropagationPlan VideoSession::SessionState::begin(const RunRequest& asked) {
  if (running_)
    throw Error(ERR_SESSION_BUSY, "A propagation of this session is under way.",
                "Let it end, or stop it, before the next.");
  if (asked.start) check_frame(*asked.start);
  if (asked.max_frames && *asked.max_frames < 0)
    throw Error(ERR_INVALID_ARGUMENT, "The number of frames to propagate must not be negative.");
  if (asked.reverse && !options.full_history)
    throw Error(ERR_HISTORY_REQUIRED, "Going backward needs what a bounded history forgets.",
                "Use startSession(source, { history: 'full' }).");
  RunRequest request = asked;
  if (!options.full_history && stepped_ >= 0) {
    if (!request.start) request.start = stepped_ + 1;
    if (*request.start <= stepped_)
      throw Error(ERR_HISTORY_REQUIRED,
                  "Frame " + std::to_string(*request.start) +
                      " was processed before, and a bounded history goes on from frame " +
                      std::to_string(stepped_ + 1) + ".",
                  "Use startSession(source, { history: 'full' }).");
  }
  std::vector<std::pair<ObjectGroup*, GroupRun>> runs;
  for (const auto& group : groups_)
    if (group->has_prompts()) runs.emplace_back(group.get(), group->plan(request));
  if (runs.empty()) throw Error(ERR_NO_PROMPT, "Nothing to follow yet: add a text, a box, points or a mask first.");

  plan_ = {
      request.reverse ? INT64_MIN : INT64_MAX, request.reverse ? INT64_MAX : INT64_MIN, request.reverse, false, {}, {}};
  for (const auto& [group, run] : runs) {
    plan_.first = request.reverse ? std::max(plan_.first, run.first) : std::min(plan_.first, run.first);
    plan_.last = request.reverse ? std::min(plan_.last, run.last) : std::max(plan_.last, run.last);
  }
  int64_t delay = 0;
  for (const auto& group : groups_) group->end();
  for (const auto& [group, run] : runs) {
    group->begin(run);
    delay = std::max(delay, group->delay());
    plan_.encodes = plan_.encodes || group->needs_images();
  }
  plan_.kind = widest_kind(groups_);
  if (plan_.encodes) plan_.held = held_frames(plan_);
  running_ = true;
  at_ = half_ = -1;
  through_.clear();
  pending_.begin(delay);
  return plan_;
}

std::vector<int64_t> VideoSession::SessionState::held_frames(const PropagationPlan& plan) const {
  std::vector<int64_t> held;
  const int64_t furthest = plan.reverse ? plan.first - plan.last : plan.last - plan.first;
  int64_t missing = 0;
  for (int64_t i = 0; i <= furthest && missing < kMissingFrames; i++) {
    const int64_t frame = plan.reverse ? plan.first - i : plan.first + i;
    missing = frames.holds(frame) ? 0 : missing + 1;
    if (missing == 0) held.push_back(frame);
  }
  return held;
}

void VideoSession::SessionState::check_step(int64_t frame) const {
  if (!running_) throw Error(ERR_INVALID_ARGUMENT, "No propagation is under way: begin one first.");
  const bool inside =
      plan_.reverse ? frame <= plan_.first && frame >= plan_.last : frame >= plan_.first && frame <= plan_.last;
  const bool onward = at_ < 0 || (plan_.reverse ? frame < at_ : frame > at_);
  if (inside && onward && (half_ < 0 || half_ == frame)) return;
  throw Error(
      ERR_INVALID_FRAME,
      half_ >= 0 && half_ != frame
          ? "The step of frame " + std::to_string(half_) + " failed half-way: repeat it before frame " +
                std::to_string(frame) + ", or end the propagation."
          : "Frame " + std::to_string(frame) + " is not one of the frames that this propagation has before it.");
}

// Per group what the detector found of its prompt; groups that have no use for it get nothing.
std::vector<ConceptDetections> VideoSession::SessionState::detect(int64_t frame, const CancelProbe& cancel) {
  const StageTimer timer(frames.clock(), &StageTimes::detect);
  std::vector<ConceptDetections> out(groups_.size());
  std::vector<const ConceptPrompt*> prompts;
  std::vector<size_t> places;
  const int64_t side = context.model.mask_side();
  const auto none =
      at::empty({0, side, side}, at::TensorOptions(at::kFloat).device(context.model.program().target().device));
  for (size_t i = 0; i < groups_.size(); i++) {
    out[i] = context.rules->keep({}, {}, none, MaskBits::above_zero(none), /*prompted=*/false);
    const ConceptPrompt* prompt = through_.contains(groups_[i].get()) ? nullptr : groups_[i]->prompt_on(frame);
    if (!prompt) continue;
    if (const auto* known = groups_[i]->remembered(frame)) {
      out[i] = *known;
      continue;
    }
    prompts.push_back(prompt);
    places.push_back(i);
  }
  if (prompts.empty()) return out;
  auto found =
      detect_concepts(context.model, frames.detector(frame), prompts, *context.rules, /*prompted=*/false, cancel);
  for (size_t i = 0; i < places.size(); i++) out[places[i]] = std::move(found[i]);
  return out;
}

std::vector<FrameResult> VideoSession::SessionState::step(int64_t frame, const RgbImage* image,
                                                          const CancelProbe& cancel) {
  check_step(frame);
  const bool computes =
      std::any_of(groups_.begin(), groups_.end(), [&](const auto& group) { return group->computes(frame); });
  std::vector<ConceptDetections> found(groups_.size());
  const AheadOfDetections ahead(groups_);
  if (computes) {
    check_memory(frame, growth_of_step(frame, found));
    open(frame, image, cancel);
    for (const auto& group : groups_)
      if (!through_.contains(group.get())) group->ask_ahead(frame);
    found = detect(frame, cancel);
    check_memory(frame, growth_of_step(frame, found));
    cancel.check();
  }
  // From here on results are stored. A group that fails leaves the others' results to the next attempt.
  half_ = frame;
  for (size_t i = 0; i < groups_.size(); i++) {
    if (through_.contains(groups_[i].get())) continue;
    if (groups_[i]->run().covers(frame)) groups_[i]->step(frame, found[i]);
    through_.insert(groups_[i].get());
  }
  half_ = -1;
  through_.clear();
  at_ = frame;
  frames_stepped++;
  stepped_ = std::max(stepped_, frame);
  auto out = finalise(pending_.push(frame, frame == plan_.last));
  tidy();
  return out;
}

std::vector<FrameResult> VideoSession::SessionState::finalise(const std::vector<int64_t>& ready) {
  const StageTimer timer(frames.clock(), &StageTimes::output);
  std::vector<FrameResult> out;
  for (const int64_t frame : ready)
    out.push_back(collect(frame, [&](ObjectGroup& group) { return group.finalise(frame); }));
  return out;
}

void VideoSession::SessionState::tidy() {
  const std::set<int64_t> waiting(pending_.frames().begin(), pending_.frames().end());
  for (const auto& group : groups_) group->tidy(at_, waiting);
}

std::vector<FrameResult> VideoSession::SessionState::finish() {
  auto out = finalise(pending_.flush());
  for (const auto& group : groups_) group->end();
  running_ = false;
  half_ = -1;
  through_.clear();
  return out;
}

}  // namespace sam3
