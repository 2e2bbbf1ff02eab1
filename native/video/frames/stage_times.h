#pragma once
#include <chrono>

namespace sam3 {

// Host time spent in each stage of the video path since the session began, in milliseconds. A stage that runs inside
// another one counts for itself only, so that the stages add up.
struct StageTimes {
  double encode = 0, detect = 0, attend = 0, decode = 0, memory = 0, associate = 0, output = 0;
};

class StageTimer;

// The times of a session, and the stage that is under way.
struct StageClock {
  StageTimes times;
  StageTimer* innermost = nullptr;
};

// Adds the time of its own life to one stage, less that of the timers that live inside it. One thread only.
class StageTimer {
 public:
  StageTimer(StageClock& clock, double StageTimes::* stage)
      : clock_(clock), stage_(stage), outer_(clock.innermost), start_(Clock::now()) {
    if (outer_) outer_->pause(start_);
    clock_.innermost = this;
  }
  ~StageTimer() {
    const auto now = Clock::now();
    pause(now);
    if (outer_) outer_->start_ = now;
    clock_.innermost = outer_;
  }
  StageTimer(const StageTimer&) = delete;
  StageTimer& operator=(const StageTimer&) = delete;

 private:
  using Clock = std::chrono::steady_clock;
  void pause(Clock::time_point now) {
    clock_.times.*stage_ += std::chrono::duration<double, std::milli>(now - start_).count();
  }

  StageClock& clock_;
  double StageTimes::* stage_;
  StageTimer* outer_;
  Clock::time_point start_;
};

}  // namespace sam3
