#pragma once
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "engine/engine.h"
#include "line.h"
#include "weights/json.h"

namespace sam3::bench {

// What every task works with. `fresh` counts texts that no call had before, so that a cache of texts helps nobody.
struct Bench {
  std::shared_ptr<Engine> engine;
  ModelInfo info;
  int64_t fresh = 0;
};

// Each task adds its figures to `line`. Times end when results are on the host.

// `images` x `texts` (rows of token ids) in one call, `calls` of them queued at once; milliseconds for each image,
// those of the device (see EngineStats::device_busy), and the share of the time in which it had work.
void segment(Bench& bench, const Json& task, Line& line);
// `prompts` clicks on one encoded image; milliseconds for each call.
void predict(Bench& bench, const Json& task, Line& line);
// `objects` clicked, or `text` (one row of token ids), followed over `frames`; milliseconds for each frame.
void video(Bench& bench, const Json& task, Line& line);
// What the model answers for fixed inputs: scores, boxes, areas and run lengths of all queries, and of one click.
void outputs(Bench& bench, const Json& task, Line& line);

// One mask of `share` of a picture of `width` x `height`, from logits to run lengths on one thread. Needs no model.
void mask_task(const Json& task, Line& line);

// The fields that tasks share.
struct Repeats {
  explicit Repeats(const Json& task);
  // Milliseconds of each round, as `round` returns them; those that warm up are left out.
  std::vector<double> times_of(const std::function<double()>& round) const;
  int64_t warmups, least, most;
  double seconds;  // after which no further round begins, once there were `least`
};
std::vector<std::vector<int64_t>> token_rows(const Json& task);
VideoOptions video_options(const Json& task);

}  // namespace sam3::bench
