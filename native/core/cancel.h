#pragma once
#include <atomic>
#include <functional>
#include <memory>

#include "core/error.h"

namespace sam3 {

// Set on the caller's thread, read by the engine thread between two steps: a step (one program call) always runs to
// its end, because LibTorch offers no way to stop a kernel half-way.
class CancelToken {
 public:
  void cancel() noexcept { cancelled_.store(true, std::memory_order_relaxed); }
  bool cancelled() const noexcept { return cancelled_.load(std::memory_order_relaxed); }

 private:
  std::atomic<bool> cancelled_{false};
};

using CancelTokenPtr = std::shared_ptr<CancelToken>;  // null: cannot be cancelled

inline Error aborted() {
  return {ABORT_ERR, "The operation was aborted by its signal."};
}

// What a running job asks between steps. An empty probe never stops.
class CancelProbe {
 public:
  CancelProbe() = default;
  explicit CancelProbe(std::function<bool()> stop) : stop_(std::move(stop)) {}
  void check() const {
    if (stop_ && stop_()) throw aborted();
  }

 private:
  std::function<bool()> stop_;
};

}  // namespace sam3
