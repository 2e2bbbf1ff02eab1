// Prompts, groups and accounts of a session. The propagation is in session_steps.cc.
#include "video/session/session_state.h"

#include <ATen/Functions.h>

#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "video/concepts/multiplex_rules.h"

namespace sam3 {
namespace {

constexpr int64_t kHighestId = (int64_t{1} << 53) - 1;  // that a JavaScript number holds

// A label of another value would be looked up beyond a table of the network.
void check_labels(const std::vector<int64_t>& labels) {
  for (const int64_t label : labels)
    if (label != 0 && label != 1)
      throw Error(ERR_INVALID_ARGUMENT,
                  "A label is 1 (belongs to it) or 0 (does not), not " + std::to_string(label) + ".");
}

void check_finite(const std::vector<double>& numbers) {
  for (const double number : numbers)
    if (!std::isfinite(number)) throw Error(ERR_INVALID_ARGUMENT, "Coordinates have to be finite numbers.");
}

// Those of the model's kind.
std::shared_ptr<const ConceptRules> rules_of(const ImageModel& model, const VideoOptions& options) {
  if (!model.program().is_multiplex()) return std::make_shared<Sam3Rules>(options.concepts);
  MultiplexOptions concepts = options.concepts;
  if (options.num_frames == 1) concepts.new_det_thresh = concepts.image_only_det_thresh;
  return std::make_shared<MultiplexRules>(concepts);
}

FrameFilter filter_of(const VideoOptions& options) {
  return options.bicubic ? FrameFilter::bicubic : FrameFilter::bilinear;
}

}  // namespace

VideoSession::SessionState::SessionState(ImageModel& model, VideoOptions o)
    : options(std::move(o)),
      frames(model, filter_of(options), options.full_history),
      context{model, frames, options, rules_of(model, options)} {
  model.program().parts().require_video();
  if (options.width <= 0 || options.height <= 0)
    throw Error(ERR_INVALID_ARGUMENT, "A video needs a width and a height in pixels.");
}

void VideoSession::SessionState::check_image(const RgbImage& image) const {
  if (image.width == options.width && image.height == options.height) return;
  throw Error(ERR_FRAME_SIZE,
              "A frame of " + std::to_string(image.width) + " x " + std::to_string(image.height) +
                  " pixels came in a video of " + std::to_string(options.width) + " x " +
                  std::to_string(options.height) + ".",
              "Scale it, or start a session of its own for the new size.");
}

void VideoSession::SessionState::check_frame(int64_t frame) const {
  if (frame >= 0 && (options.num_frames < 0 || frame < options.num_frames)) return;
  throw Error(ERR_INVALID_FRAME, "There is no frame " + std::to_string(frame) +
                                     (options.num_frames < 0 ? ": frames are counted from 0."
                                                             : ": the video has frames 0 to " +
                                                                   std::to_string(options.num_frames - 1) + "."));
}

void VideoSession::SessionState::check_memory(int64_t frame, int64_t growth) const {
  if (!options.full_history) return;
  if (!frames.holds(frame)) growth += frames.bytes_per_frame();
  // What lies on the device comes to the host when the network has gone elsewhere.
  const int64_t history = host_bytes() + device_history_bytes();
  if (history + growth <= options.memory_limit) return;
  throw Error(ERR_MEMORY_LIMIT,
              "Frame " + std::to_string(frame) + " would take the session's history over memoryLimit = " +
                  std::to_string(options.memory_limit) + " bytes (" + std::to_string(history) + " are in use).",
              "Raise the limit, remove objects, reset the session, or use { history: 'bounded' }.");
}

int64_t VideoSession::SessionState::growth_of_waiting(const ObjectGroup* without) const {
  int64_t total = 0;
  for (const auto& group : groups_)
    if (group.get() != without) total += group->growth_of_step(0, {}, 0);
  return total;
}

int64_t VideoSession::SessionState::growth_of_prompt(int64_t frame, int64_t object, bool mask) {
  ObjectGroup* group = home_of(object);
  if (group) return group->growth_of_prompt(frame, object, mask) + growth_of_waiting(group);
  return ClickGroup(context).growth_of_prompt(frame, object, mask);
}

int64_t VideoSession::SessionState::growth_of_step(int64_t frame, const std::vector<ConceptDetections>& found) const {
  int64_t total = 0;
  for (size_t i = 0; i < groups_.size(); i++)
    total +=
        groups_[i]->growth_of_step(frame, groups_[i]->tracked_on(frame), static_cast<int64_t>(found[i].scores.size()));
  return total;
}

void VideoSession::SessionState::open(int64_t frame, const RgbImage* image, const CancelProbe& cancel) {
  if (image) check_image(*image);
  frames.open(frame, image, cancel);
}

void VideoSession::SessionState::open_prompted(int64_t frame, const RgbImage* image, int64_t growth,
                                               const CancelProbe& cancel) {
  check_frame(frame);
  if (!options.full_history && frame < stepped_)
    throw Error(ERR_HISTORY_REQUIRED,
                "Frame " + std::to_string(frame) + " is older than frame " + std::to_string(stepped_) +
                    ", and a bounded history has forgotten it.",
                "Use startSession(source, { history: 'full' }).");
  check_memory(frame, growth);
  open(frame, image, cancel);
}

void VideoSession::SessionState::check_object(int64_t object) const {
  if (object < 0 || object > kHighestId)
    throw Error(ERR_INVALID_ARGUMENT, "Object ids are whole numbers from 0 to 2^53 - 1.");
}

void VideoSession::SessionState::check_points(int64_t object, const ClickPrompt& input) const {
  check_object(object);
  if (input.points.size() != 2 * input.labels.size())
    throw Error(ERR_INVALID_ARGUMENT, "Each point needs x, y and a label.");
  if (input.labels.empty() && !input.box) throw Error(ERR_INVALID_ARGUMENT, "A prompt needs points, a box, or both.");
  check_labels(input.labels);
  check_finite(input.points);
  if (input.box) check_finite({input.box->begin(), input.box->end()});
}

void VideoSession::SessionState::check_concept(const ConceptPrompt& prompt) const {
  context.model.program().parts().require_detector();
  const auto context_length = static_cast<size_t>(context.model.program().architecture().text_context);
  if (prompt.ids.size() != context_length)
    throw Error(ERR_INVALID_ARGUMENT, "A text needs " + std::to_string(context_length) + " token ids.");
  if (prompt.boxes.size() != 4 * prompt.labels.size())
    throw Error(ERR_INVALID_ARGUMENT, "Each box needs four numbers and a label.");
  if (prompt.labels.size() > 1)
    throw Error(ERR_INVALID_ARGUMENT,
                "A concept of a video takes one box, not " + std::to_string(prompt.labels.size()) + ".",
                "Add the others as concepts of their own, or point at the objects.");
  if (!prompt.has_text && prompt.labels.empty())
    throw Error(ERR_INVALID_ARGUMENT, "A concept needs a text, a box, or both.");
  check_labels(prompt.labels);
  check_finite(prompt.boxes);
}

at::Tensor VideoSession::SessionState::mask_of(const uint8_t* mask) const {
  if (!mask) throw Error(ERR_INVALID_ARGUMENT, "A mask is missing.");
  return at::from_blob(const_cast<uint8_t*>(mask), {options.height, options.width}, at::kByte).ne(0).to(at::kFloat);
}

int64_t VideoSession::SessionState::add_concept(int64_t frame, const ConceptPrompt& prompt, const CancelProbe& cancel) {
  auto group = std::make_unique<ConceptGroup>(context, next_concept_, prompt, frame);
  std::vector<ConceptDetections> found;
  {
    const StageTimer timer(frames.clock(), &StageTimes::detect);
    found = detect_concepts(context.model, frames.detector(frame), {&group->prompt()}, *context.rules,
                            /*prompted=*/true, cancel);
  }
  cancel.check();
  check_memory(frame,
               growth_of_waiting() + group->growth_of_step(frame, {}, static_cast<int64_t>(found[0].scores.size())));
  group->start(found[0]);
  if (running_) join(*group);
  groups_.push_back(std::move(group));
  return next_concept_++;
}

// A new object belongs to the first concept, with which it competes for pixels and detections as in the reference;
// without one it is with those that were clicked.
ObjectGroup* VideoSession::SessionState::home_of(int64_t object) const {
  for (const auto& group : groups_)
    if (group->tracks(object)) return group.get();
  for (const auto& group : groups_)
    if (group->takes_new_objects()) return group.get();
  return groups_.empty() ? nullptr : groups_.front().get();
}

void VideoSession::SessionState::prompt(int64_t frame, int64_t object, const std::function<void(ObjectGroup&)>& body) {
  if (ObjectGroup* home = home_of(object)) return body(*home);
  std::unique_ptr<ObjectGroup> group;
  if (context.leaves_out(&MultiplexOptions::follow_clicks_without_text))
    group = std::make_unique<ConceptGroup>(context, -1, ConceptPrompt(), frame);
  else
    group = std::make_unique<ClickGroup>(context);
  body(*group);
  if (running_) join(*group);
  groups_.push_back(std::move(group));
}

// What comes during a propagation takes part from its next frame on.
void VideoSession::SessionState::join(ObjectGroup& group) {
  const int64_t next = at_ < 0 ? plan_.first : at_ + (plan_.reverse ? -1 : 1);
  group.join(plan_.reverse, next, plan_.last);
  pending_.raise(group.delay());
}

ObjectGroup& VideoSession::SessionState::group_of(int64_t object) {
  for (const auto& group : groups_)
    if (group->tracks(object)) return *group;
  std::vector<int64_t> tracked;
  for (const auto& group : groups_) {
    const auto ids = group->object_ids();
    tracked.insert(tracked.end(), ids.begin(), ids.end());
  }
  throw unknown_object(object, tracked);
}

void VideoSession::SessionState::remove_concept(int64_t index) {
  if (std::none_of(groups_.begin(), groups_.end(), [&](const auto& group) { return group->drop_concept(index); }))
    throw Error(ERR_INVALID_ARGUMENT, "There is no concept " + std::to_string(index) + ".");
  drop_empty_groups();
}

void VideoSession::SessionState::drop_empty_groups() {
  std::erase_if(groups_, [&](const auto& group) {
    const bool empty = group->object_ids().empty() && !group->has_prompts();
    if (empty) through_.erase(group.get());
    return empty;
  });
}

void VideoSession::SessionState::reset() {
  groups_.clear();
  frames.clear();
  context.next_id = next_concept_ = 0;
  stepped_ = at_ = half_ = -1;
  running_ = false;
  through_.clear();
  pending_.begin(0);
}

FrameResult VideoSession::SessionState::collect(
    int64_t frame, const std::function<std::vector<TrackedObject>(ObjectGroup&)>& objects_of) const {
  FrameResult out;
  out.frame = frame;
  for (const auto& group : groups_) {
    const auto [tracked, dropped] = group->counts(frame);
    out.tracked += tracked;
    out.dropped += dropped;
    auto objects = objects_of(*group);
    std::move(objects.begin(), objects.end(), std::back_inserter(out.objects));
  }
  std::sort(out.objects.begin(), out.objects.end(), [](const auto& a, const auto& b) { return a.id < b.id; });
  return out;
}

FrameResult VideoSession::SessionState::look(int64_t frame) const {
  return collect(frame, [&](ObjectGroup& group) { return group.look(frame); });
}

int64_t VideoSession::SessionState::objects() const {
  int64_t count = 0;
  for (const auto& group : groups_) count += static_cast<int64_t>(group->object_ids().size());
  return count;
}

int64_t VideoSession::SessionState::host_bytes() const {
  int64_t bytes = frames.host_bytes();
  for (const auto& group : groups_)
    bytes += group->output_bytes() + (options.full_history ? group->tracker_host_bytes() : 0);
  return bytes;
}

int64_t VideoSession::SessionState::device_history_bytes() const {
  int64_t bytes = 0;
  for (const auto& group : groups_)
    bytes += group->tracker_bytes() - (options.full_history ? group->tracker_host_bytes() : 0);
  return bytes;
}

int64_t VideoSession::SessionState::device_bytes() const {
  return frames.feature_bytes() + device_history_bytes();
}

}  // namespace sam3
