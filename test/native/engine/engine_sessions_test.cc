// Video sessions on the engine thread: they take turns with other calls, and end whole whatever runs meanwhile.
#include <thread>

#include "engine/engine_support.h"

using namespace sam3;
using namespace sam3::test;

namespace {

VideoOptions options() {
  VideoOptions out;
  out.width = image().width;
  out.height = image().height;
  out.num_frames = 1000;
  return out;
}

SessionPtr open(Engine& engine) {
  Waiter<SessionPtr> opened;
  engine.open_session(options(), nullptr, opened.callback());
  return opened.value();
}

using Results = std::vector<FrameResult>;
constexpr auto kLimited = Engine::Queueing::limited;

void step(Engine& engine, const SessionPtr& session, int64_t frame, Callback<Results> done,
          Engine::Token token = nullptr) {
  engine.in_session<Results>(
      session, std::move(token), kLimited,
      [frame](VideoSession& video, const CancelProbe& cancel) {
        const RgbImage pixels = image();
        return video.step(frame, &pixels, cancel);
      },
      std::move(done));
}

// One clicked object on frame 0, and a propagation that has begun.
void prepare(Engine& engine, const SessionPtr& session) {
  Waiter<FrameResult> clicked;
  engine.in_session<FrameResult>(
      session, nullptr, kLimited,
      [](VideoSession& video, const CancelProbe& cancel) {
        const RgbImage pixels = image();
        ClickPrompt click;
        click.points = {.5, .5};
        click.labels = {1};
        return video.add_points(0, &pixels, 7, click, cancel);
      },
      clicked.callback());
  REQUIRE(clicked.value().objects.size() == 1);
  Waiter<PropagationPlan> begun;
  engine.in_session<PropagationPlan>(
      session, nullptr, kLimited,
      [](VideoSession& video, const CancelProbe&) { return video.begin(Direction::forward, {}, {}); },
      begun.callback());
  CHECK(begun.value().first == 0);
}

void close(Engine& engine, const SessionPtr& session) {
  std::promise<void> closed;
  engine.close_session(session, [&] { closed.set_value(); });
  REQUIRE(closed.get_future().wait_for(std::chrono::minutes(2)) == std::future_status::ready);
}

}  // namespace

TEST_CASE("engine sessions: steps of several sessions and image calls take turns") {
  const GoldenModel& golden = test_model();
  const Running running(golden);
  Engine& engine = *running.engine;
  const SessionPtr first = open(engine), second = open(engine);
  CHECK(engine.stats().sessions == 2);
  prepare(engine, first);
  prepare(engine, second);
  std::vector<Waiter<Results>> steps(6);
  std::vector<Waiter<std::vector<std::vector<Segmentation>>>> images(3);
  for (int64_t i = 0; i < 3; i++) {
    step(engine, first, i, steps[2 * i].callback());
    step(engine, second, i, steps[2 * i + 1].callback());
    engine.segment({{image(), {prompt(1000)}}}, nullptr, images[i].callback());
  }
  for (size_t i = 0; i < steps.size(); i++) {
    const auto results = steps[i].value();
    REQUIRE(results.size() == 1);
    CHECK(results[0].frame == static_cast<int64_t>(i / 2));
    REQUIRE(results[0].objects.size() == 1);
    CHECK(results[0].objects[0].id == 7);
  }
  for (auto& waiter : images) CHECK(waiter.value().size() == 1);
  close(engine, first);
  CHECK(engine.stats().sessions == 1);
  Waiter<Results> after, other;
  step(engine, first, 3, after.callback());
  step(engine, second, 3, other.callback());
  CHECK(after.code() == "ERR_SESSION_CLOSED");
  CHECK(other.value().size() == 1);
  close(engine, first);  // again
  close(engine, second);
  CHECK(engine.stats().sessions == 0);
}

TEST_CASE("engine sessions: closing ends waiting and running calls once each, and frees before it says so") {
  const GoldenModel& golden = test_model();
  const Running running(golden);
  Engine& engine = *running.engine;
  for (int round = 0; round < 10; round++) {
    const SessionPtr session = open(engine);
    prepare(engine, session);
    std::vector<Waiter<Results>> steps(5);
    for (int64_t i = 0; i < 5; i++) step(engine, session, i, steps[i].callback());
    std::this_thread::sleep_for(std::chrono::milliseconds(3 * round));
    close(engine, session);
    CHECK(engine.stats().sessions == 0);
    for (auto& waiter : steps) {
      const auto code = waiter.code();
      CHECK((code.empty() || code == "ERR_SESSION_CLOSED"));
      CHECK(waiter.calls() == 1);
    }
  }
}

TEST_CASE("engine sessions: a full queue refuses steps, but nothing that tidies up") {
  const GoldenModel& golden = test_model();
  const Running running(golden, 1);
  Engine& engine = *running.engine;
  const SessionPtr session = open(engine);
  prepare(engine, session);
  std::vector<Waiter<Results>> steps(8);
  for (int64_t i = 0; i < 8; i++) step(engine, session, i, steps[i].callback());
  Waiter<bool> abandoned;
  engine.in_session<bool>(
      session, nullptr, Engine::Queueing::unlimited,
      [](VideoSession& video, const CancelProbe&) {
        video.abandon();
        return true;
      },
      abandoned.callback());
  int refused = 0;
  for (auto& waiter : steps) refused += waiter.code() == "ERR_QUEUE_FULL";
  CHECK(refused > 0);
  CHECK(abandoned.value());
  close(engine, session);
}

TEST_CASE("engine sessions: a cancelled step ends with ABORT_ERR, and can be repeated") {
  const GoldenModel& golden = test_model();
  const Running running(golden);
  Engine& engine = *running.engine;
  const SessionPtr session = open(engine);
  prepare(engine, session);
  const auto token = std::make_shared<CancelToken>();
  Waiter<Results> cancelled, repeated;
  token->cancel();
  step(engine, session, 0, cancelled.callback(), token);
  CHECK(cancelled.code() == "ABORT_ERR");
  step(engine, session, 0, repeated.callback());
  CHECK(repeated.value().size() == 1);
  close(engine, session);
}

TEST_CASE("engine sessions: disposing of the model ends them, and a later close still answers") {
  const GoldenModel& golden = test_model();
  const Running running(golden);
  Engine& engine = *running.engine;
  const SessionPtr session = open(engine);
  prepare(engine, session);
  std::vector<Waiter<Results>> steps(3);
  for (int64_t i = 0; i < 3; i++) step(engine, session, i, steps[i].callback());
  std::promise<void> closed;
  engine.dispose(Error(ERR_DISPOSED, "The model was disposed."));
  engine.close_session(session, [&] { closed.set_value(); });
  REQUIRE(closed.get_future().wait_for(std::chrono::minutes(2)) == std::future_status::ready);
  for (auto& waiter : steps) {
    const auto code = waiter.code();
    CHECK((code.empty() || code == "ERR_DISPOSED" || code == "ERR_SESSION_CLOSED"));
  }
  dispose(engine);
  close(engine, session);
  Waiter<SessionPtr> late;
  engine.open_session(options(), nullptr, late.callback());
  CHECK(late.code() == "ERR_DISPOSED");
}
