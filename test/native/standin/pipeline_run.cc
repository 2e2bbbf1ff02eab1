// How near the engine comes to a device's own speed: large images by the dozen, with the network of the true size on a
// device whose kernels take the time that the model of docs/performance.md gives them.
#include "standin/pipeline_run.h"

#include <ATen/Parallel.h>
#include <c10/core/InferenceMode.h>

#include <future>
#include <iostream>
#include <map>
#include <memory>
#include <vector>

#include "engine/engine.h"
#include "standin/clock.h"
#include "standin/made_up.h"
#include "standin/standin.h"

namespace sam3::standin {
namespace {

using Results = std::vector<std::vector<Segmentation>>;

constexpr int64_t kWidth = 3840, kHeight = 2160, kMasks = 50, kBatch = 8;

struct Work {
  int64_t images, threads;
  double scale;
  std::vector<uint8_t> pixels = std::vector<uint8_t>(kWidth * kHeight * 3, 127);

  SegmentItem item() const {
    ConceptPrompt prompt;
    prompt.ids.assign(32, 0);
    prompt.ids[0] = 49406, prompt.ids[1] = 1000, prompt.ids[2] = 49407;  // start, one word, end
    return {RgbImage{pixels.data(), kWidth, kHeight}, {prompt}};
  }
};

void check(const Results& results) {
  for (const auto& image : results)
    if (image.at(0).masks.masks.size() != kMasks) throw std::runtime_error("masks are missing");
}

ImageModelOptions model_options() {
  ImageModelOptions options;
  options.device = "standin";
  options.dtype = "bfloat16";
  options.max_batch = kBatch;
  return options;
}

void report(const std::string& name, const Work& work, double begin, double first, double end, double load) {
  const double busy = asked_busy();
  std::cout << name << ": " << (end - begin) / static_cast<double>(work.images) / work.scale
            << " ms an image; the device alone " << busy / static_cast<double>(work.images) / work.scale
            << " ms; of its limit " << busy / (end - begin) << ", busy between its first and last work "
            << busy / (asked_until() - first);
  if (load > 0) std::cout << ", by the engine's own counters " << load;
  std::cout << "\n";
}

// One batch behind the other, each from its pixels to its results.
void one_by_one(const Work& work) {
  const c10::InferenceMode guard;
  at::set_num_threads(static_cast<int>(work.threads));
  ImageModel model(shapes_model(), model_options(), std::function<void(uint64_t, uint64_t)>{});
  set_reader(MadeUp(model.program().architecture().num_queries, model.mask_side(), kMasks));
  const std::vector<SegmentItem> batch(kBatch, work.item());
  check(model.segment(batch, {}));
  Card card;
  card.scale = work.scale;
  set_card(card);
  const double begin = now_ms();
  for (int64_t i = 0; i < work.images; i += kBatch) check(model.segment(batch, {}));
  report("one stage after the other", work, begin, begin, now_ms(), 0);
  set_card({});
}

void in_the_pipeline(const Work& work) {
  EngineOptions options;
  options.model = model_options();
  options.threads = static_cast<int>(work.threads);
  std::promise<void> loaded;
  auto engine = Engine::start(shapes_model(), options, {}, [&](const Outcome<ModelInfo>& info) {
    if (const auto* error = std::get_if<Error>(&info)) std::cerr << error->what() << "\n";
    loaded.set_value();
  });
  loaded.get_future().wait();
  double first = 0;
  const auto run = [&](int64_t images) {
    std::vector<std::promise<void>> done(static_cast<size_t>(images));
    std::vector<std::string> errors(done.size());
    for (size_t i = 0; i < done.size(); i++)
      engine->segment(
          {work.item()}, nullptr,
          [&, i](Outcome<Results> outcome) {
            if (const auto* error = std::get_if<Error>(&outcome))
              errors[i] = error->what();
            else
              check(std::get<Results>(outcome));
            done[i].set_value();
          },
          [&](const CallStages& stages) {
            for (const StageSpan& span : stages.stages)
              if (span.stage == Stage::encode && (first == 0 || span.begin < first)) first = span.begin;
          });
    for (auto& one : done) one.get_future().wait();
    for (const std::string& error : errors)
      if (!error.empty()) throw std::runtime_error(error);
  };
  run(kBatch);
  Card card;
  card.scale = work.scale;
  set_card(card);
  first = 0;
  const EngineStats before = engine->stats();
  const double begin = now_ms();
  run(work.images);
  const double end = now_ms();
  const EngineStats after = engine->stats();
  report("pipeline", work, begin, first, end,
         (after.device_busy - before.device_busy) / (after.uptime - before.uptime));
  set_card({});
  engine->dispose(Error(ERR_DISPOSED, "The model was disposed."));
  engine->join();
}

}  // namespace

int pipeline_run(int64_t images, int64_t threads, double scale) {
  set_kernels(Kernels::shapes);
  const Work work{images, threads, scale};
  std::cout << images << " images of " << kWidth << " x " << kHeight << ", " << kMasks << " masks each, batches of "
            << kBatch << ", " << threads << " host threads; a second of the device takes " << scale << " s\n";
  one_by_one(work);
  in_the_pipeline(work);
  return 0;
}

}  // namespace sam3::standin
