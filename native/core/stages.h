#pragma once
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace sam3 {

// What an engine does for its calls, in the order of a question about an image: waiting; pixels resized and sent; the
// image encoder; the network's answer to prompts; masks decoded, fetched and turned into runs. A video session's call
// counts as a whole: the session has times of its own.
enum class Stage { queue, prepare, encode, detect, masks, video };
inline constexpr std::array kStageNames{"queue", "prepare", "encode", "detect", "masks", "video"};

// Milliseconds of the steady clock, which on Linux is that of Node's process.hrtime().
inline double now_ms() {
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// When a stage began and ended, as now_ms() tells it.
struct StageSpan {
  Stage stage;
  double begin, end;
};

// Where the time of one call went. Stages come in the order in which they began; a stage comes several times where the
// call's images or prompts did not fit into one pass of the network.
struct CallStages {
  uint64_t batch = 0;  // the number of the batch that it was part of
  size_t calls = 1;    // that shared this batch
  size_t images = 0;   // in the batch
  std::vector<StageSpan> stages;
};

// Told of a call that ran, also of one that failed while it ran, right before its result. Empty: nobody asks.
using OnStages = std::function<void(const CallStages&)>;

}  // namespace sam3
