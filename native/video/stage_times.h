#pragma once
#include <chrono>

namespace sam3 {

// Host time spent in each stage of the video path since the session began, in milliseconds.
struct StageTimes {
  double encode = 0, detect = 0, attend = 0, decode = 0, memory = 0, associate = 0, output = 0;
};

// Adds the time of its own life to one stage.
class StageTimer {
 public:
  explicit StageTimer(double& stage) : stage_(stage), start_(std::chrono::steady_clock::now()) {}
  ~StageTimer() {
    stage_ += std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start_).count();
  }
  StageTimer(const StageTimer&) = delete;
  StageTimer& operator=(const StageTimer&) = delete;

 private:
  double& stage_;
  std::chrono::steady_clock::time_point start_;
};

}  // namespace sam3
