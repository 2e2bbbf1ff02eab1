#include <c10/util/irange.h>

#include "calls.h"
#include "pictures.h"
#include "tasks.h"

namespace sam3::bench {

VideoOptions video_options(const Json& task) {
  VideoOptions options;
  options.width = integer(task, "width", 1280), options.height = integer(task, "height", 720);
  options.num_frames = integer(task, "frames", 12);
  // Random weights give any score: everything is followed, up to the number asked for, and shown at once.
  options.concepts.score_threshold_detection = 0;
  options.concepts.new_det_thresh = 0;
  options.concepts.det_nms_thresh = 0;
  options.concepts.hotstart_delay = 0;
  options.concepts.max_num_objects = integer(task, "objects", 1);
  return options;
}

void video(Bench& bench, const Json& task, Line& line) {
  using Results = std::vector<FrameResult>;
  constexpr auto kLimited = Engine::Queueing::limited;
  Engine& engine = *bench.engine;
  const VideoOptions options = video_options(task);
  std::vector<Picture> clip;
  for (const auto i : c10::irange(options.num_frames)) clip.emplace_back(options.width, options.height, 3, 4 * i);

  Pending<SessionPtr> opened;
  engine.open_session(options, nullptr, opened.callback());
  const SessionPtr session = opened.value();
  const int64_t objects = integer(task, "objects", 1);
  const bool by_text = task.find("texts") != nullptr;
  const Stopwatch prompting;
  for (const auto i : c10::irange(by_text ? 1 : objects)) {
    Pending<FrameResult> prompted;
    engine.in_session<FrameResult>(
        session, nullptr, kLimited,
        [&](VideoSession& video, const CancelProbe& cancel) {
          const RgbImage first = clip[0].raw();
          const RgbImage* image = video.holds(0) ? nullptr : &first;
          if (by_text) {
            ConceptPrompt prompt;
            prompt.ids = token_rows(task).at(0);
            return video.add_concept(0, image, prompt, cancel).second;
          }
          // Over the frame in rows of eight.
          ClickPrompt click;
          click.points = {static_cast<double>(i % 8 * 2 + 1) / 16, static_cast<double>(i / 8 * 2 + 1) / 16};
          click.labels = {1};
          return video.add_points(0, image, i, click, cancel);
        },
        prompted.callback());
    prompted.value();
  }
  line.add("prompt_ms", prompting.ms());
  Pending<PropagationPlan> begun;
  engine.in_session<PropagationPlan>(
      session, nullptr, kLimited,
      [](VideoSession& video, const CancelProbe&) { return video.begin(Direction::forward, {}, {}); },
      begun.callback());
  begun.value();

  std::vector<double> ms;
  size_t masks = 0;
  for (const auto i : c10::irange(options.num_frames)) {
    const Stopwatch watch;
    Pending<Results> stepped;
    engine.in_session<Results>(
        session, nullptr, kLimited,
        [&](VideoSession& video, const CancelProbe& cancel) {
          const RgbImage image = clip[static_cast<size_t>(i)].raw();
          return video.step(i, video.holds(i) ? nullptr : &image, cancel);
        },
        stepped.callback());
    const Results results = stepped.value();
    masks = results.empty() ? 0 : results.back().objects.size();
    ms.push_back(watch.ms());
  }
  Pending<VideoSession::Stats> asked;
  engine.in_session<VideoSession::Stats>(
      session, nullptr, kLimited, [](VideoSession& video, const CancelProbe&) { return video.stats(); },
      asked.callback());
  const VideoSession::Stats stats = asked.value();
  std::promise<void> closed;
  engine.close_session(session, [&] { closed.set_value(); });
  closed.get_future().get();
  // From the eighth on the memory is full; a shorter clip counts from its middle.
  const auto first = std::min<size_t>(7, ms.size() / 2);
  line.times({ms.begin() + static_cast<std::ptrdiff_t>(first), ms.end()})
      .add("objects", static_cast<double>(stats.objects))
      .add("masks", static_cast<double>(masks))
      .add("frames_ms", ms)
      .add("device_bytes", static_cast<double>(stats.device_bytes));
  const StageTimes& t = stats.times;
  line.add("stages", std::vector<double>{t.encode, t.detect, t.attend, t.decode, t.memory, t.associate, t.output});
}

}  // namespace sam3::bench
