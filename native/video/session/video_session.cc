#include "video/session/video_session.h"

#include "core/error.h"
#include "video/session/session_state.h"

namespace sam3 {

VideoSession::VideoSession(ImageModel& model, VideoOptions options)
    : state_(std::make_unique<SessionState>(model, std::move(options))) {}

VideoSession::~VideoSession() = default;

bool VideoSession::holds(int64_t frame) const {
  return state_->frames.holds(frame);
}

std::pair<int64_t, FrameResult> VideoSession::add_concept(int64_t frame, const RgbImage* image,
                                                          const ConceptPrompt& prompt, const CancelProbe& cancel) {
  return translate(ERR_INFERENCE, "Adding a concept", [&]() -> std::pair<int64_t, FrameResult> {
    state_->check_concept(prompt);
    state_->open_prompted(frame, image, state_->growth_of_waiting(), cancel);
    const int64_t index = state_->add_concept(frame, prompt, cancel);
    return {index, state_->look(frame)};
  });
}

FrameResult VideoSession::add_points(int64_t frame, const RgbImage* image, int64_t object, const ClickPrompt& input,
                                     const CancelProbe& cancel) {
  return translate(ERR_INFERENCE, "Adding points", [&] {
    state_->check_points(object, input);
    state_->open_prompted(frame, image, state_->growth_of_prompt(frame, object, /*mask=*/false), cancel);
    state_->prompt(frame, object, [&](ObjectGroup& group) { group.add_points(frame, object, input); });
    return state_->look(frame);
  });
}

FrameResult VideoSession::add_mask(int64_t frame, const RgbImage* image, int64_t object, const uint8_t* mask,
                                   const CancelProbe& cancel) {
  return translate(ERR_INFERENCE, "Adding a mask", [&] {
    state_->check_object(object);
    const at::Tensor pixels = state_->mask_of(mask);
    state_->open_prompted(frame, image, state_->growth_of_prompt(frame, object, /*mask=*/true), cancel);
    state_->prompt(frame, object, [&](ObjectGroup& group) { group.add_mask(frame, object, pixels); });
    return state_->look(frame);
  });
}

FrameResult VideoSession::clear_prompts(int64_t frame, const RgbImage* image, int64_t object,
                                        const CancelProbe& cancel) {
  return translate(ERR_INFERENCE, "Taking prompts back", [&] {
    ObjectGroup& group = state_->group_of(object);
    state_->open_prompted(frame, image, state_->growth_of_prompt(frame, object, /*mask=*/false), cancel);
    group.clear_prompts(frame, object);
    return state_->look(frame);
  });
}

void VideoSession::remove_object(int64_t object) {
  translate(ERR_INFERENCE, "Removing an object", [&] {
    state_->group_of(object).remove_object(object);
    state_->drop_empty_groups();
  });
}

void VideoSession::remove_concept(int64_t concept_index) {
  translate(ERR_INFERENCE, "Removing a concept", [&] { state_->remove_concept(concept_index); });
}

void VideoSession::reset() {
  state_->reset();
}

PropagationPlan VideoSession::begin(Direction direction, std::optional<int64_t> start,
                                    std::optional<int64_t> max_frames) {
  return translate(ERR_INFERENCE, "Beginning a propagation",
                   [&] { return state_->begin({direction == Direction::backward, start, max_frames}); });
}

std::vector<FrameResult> VideoSession::step(int64_t frame, const RgbImage* image, const CancelProbe& cancel) {
  return translate(ERR_INFERENCE, "Following objects", [&] { return state_->step(frame, image, cancel); });
}

std::vector<FrameResult> VideoSession::finish() {
  return translate(ERR_INFERENCE, "Ending a propagation", [&] { return state_->finish(); });
}

void VideoSession::abandon() {
  translate(ERR_INFERENCE, "Ending a propagation", [&] { state_->finish(); });
}

VideoSession::Stats VideoSession::stats() const {
  Stats out;
  out.host_bytes = state_->host_bytes();
  out.device_bytes = state_->device_bytes();
  out.frames = state_->frames_stepped;
  out.objects = state_->objects();
  out.times = state_->frames.times();
  return out;
}

}  // namespace sam3
