#include "video/frames/stage_times.h"

#include <doctest/doctest.h>

#include <thread>

using namespace sam3;

namespace {
void wait(int milliseconds) {
  std::this_thread::sleep_for(std::chrono::milliseconds(milliseconds));
}
}  // namespace

TEST_CASE("stages inside others count once") {
  StageClock clock;
  const auto begun = std::chrono::steady_clock::now();
  {
    const StageTimer outer(clock, &StageTimes::detect);
    wait(5);
    {
      const StageTimer inner(clock, &StageTimes::encode);
      wait(20);
      const StageTimer innermost(clock, &StageTimes::decode);
      wait(20);
    }
    wait(5);
  }
  const std::chrono::duration<double, std::milli> total = std::chrono::steady_clock::now() - begun;
  CHECK(clock.innermost == nullptr);
  CHECK(clock.times.detect >= 10);
  CHECK(clock.times.encode >= 20);
  CHECK(clock.times.decode >= 20);
  // However long the machine was busy with something else: the parts are never more than the whole.
  CHECK(clock.times.detect + clock.times.encode + clock.times.decode <= total.count());
}

TEST_CASE("a stage that ends with an exception is counted, and the one around it goes on") {
  StageClock clock;
  {
    const StageTimer outer(clock, &StageTimes::associate);
    try {
      const StageTimer inner(clock, &StageTimes::memory);
      wait(2);
      throw 1;
    } catch (int) {
    }
    wait(2);
  }
  CHECK(clock.innermost == nullptr);
  CHECK(clock.times.memory >= 2);
  CHECK(clock.times.associate >= 2);
}
