#pragma once
#include <doctest/doctest.h>

#include <atomic>
#include <chrono>
#include <future>
#include <memory>
#include <random>
#include <vector>

#include "engine/engine.h"
#include "support/golden.h"

// A running engine with the golden model, and calls of it that are waited for.
namespace sam3::test {

using Segmentations = std::vector<std::vector<Segmentation>>;

inline const std::vector<uint8_t>& pixels() {
  static const std::vector<uint8_t> noise = [] {
    std::mt19937_64 random(9);
    std::vector<uint8_t> out(60 * 40 * 3);
    for (auto& byte : out) byte = static_cast<uint8_t>(random());
    return out;
  }();
  return noise;
}

inline RgbImage image() {
  return {pixels().data(), 60, 40};
}

inline ConceptPrompt prompt(int64_t word, float threshold = 0.0f) {
  ConceptPrompt out;
  out.ids.assign(32, 0);
  out.ids[0] = 49406, out.ids[1] = word, out.ids[2] = 49407;  // start, one word, end
  out.threshold = threshold;
  return out;
}

// Waits for a callback and counts how often it came.
template <class T>
class Waiter {
 public:
  Callback<T> callback() {
    return [state = state_](Outcome<T> outcome) {
      if (state->calls++ == 0) state->promise.set_value(std::move(outcome));
    };
  }
  Outcome<T> outcome() {
    auto future = state_->promise.get_future();
    REQUIRE(future.wait_for(std::chrono::minutes(2)) == std::future_status::ready);
    return future.get();
  }
  T value() {
    auto got = outcome();
    if (const auto* error = std::get_if<Error>(&got)) FAIL(name_of(error->code()) << ": " << error->what());
    return std::get<T>(std::move(got));
  }
  std::string code() {
    auto got = outcome();
    const auto* error = std::get_if<Error>(&got);
    return error ? name_of(error->code()) : "";
  }
  int calls() const { return state_->calls; }

 private:
  struct State {
    std::promise<Outcome<T>> promise;
    std::atomic<int> calls{0};
  };
  std::shared_ptr<State> state_ = std::make_shared<State>();
};

struct Running {
  explicit Running(const GoldenModel& golden, size_t queue_limit = 256, int64_t max_batch = 0,
                   int64_t memory_budget = 0) {
    EngineOptions options;
    options.model.device = test_device();
    options.model.dtype = "float32";
    options.model.max_batch = max_batch;
    options.model.memory_budget = memory_budget;
    options.threads = 2;
    options.queue_limit = queue_limit;
    Waiter<ModelInfo> loaded;
    engine = Engine::start({golden.program + "/program.pt", golden.program + "/names.json", golden.weights}, options,
                           {}, loaded.callback());
    info = loaded.value();
  }
  std::shared_ptr<Engine> engine;
  ModelInfo info;
};

inline void dispose(Engine& engine) {
  std::promise<void> disposed;
  engine.dispose(Error(ERR_DISPOSED, "The model was disposed."), [&] { disposed.set_value(); });
  REQUIRE(disposed.get_future().wait_for(std::chrono::minutes(2)) == std::future_status::ready);
  engine.join();
  CHECK(engine.finished());
}

}  // namespace sam3::test
