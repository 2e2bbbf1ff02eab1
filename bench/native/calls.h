#pragma once
#include <chrono>
#include <future>
#include <memory>
#include <utility>
#include <variant>

#include "core/outcome.h"

namespace sam3::bench {

// Calls of the engine, waited for.

template <class T>
struct Pending {
  Callback<T> callback() {
    return [promise = promise](Outcome<T> outcome) { promise->set_value(std::move(outcome)); };
  }
  // Throws the call's Error.
  T value() {
    Outcome<T> outcome = promise->get_future().get();
    if (const auto* error = std::get_if<Error>(&outcome)) throw *error;
    return std::get<T>(std::move(outcome));
  }
  std::shared_ptr<std::promise<Outcome<T>>> promise = std::make_shared<std::promise<Outcome<T>>>();
};

class Stopwatch {
 public:
  double ms() const { return std::chrono::duration<double, std::milli>(Clock::now() - begun_).count(); }

 private:
  using Clock = std::chrono::steady_clock;
  Clock::time_point begun_ = Clock::now();
};

}  // namespace sam3::bench
