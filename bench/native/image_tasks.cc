#include <c10/util/irange.h>

#include "calls.h"
#include "pictures.h"
#include "tasks.h"

namespace sam3::bench {
namespace {

using Segmentations = std::vector<std::vector<Segmentation>>;

std::vector<ConceptPrompt> prompts_of(const std::vector<std::vector<int64_t>>& rows, int64_t instances) {
  std::vector<ConceptPrompt> prompts;
  for (const auto& row : rows) {
    ConceptPrompt prompt;
    prompt.ids = row;
    prompt.threshold = 0;  // what passes another one with random weights is all queries or none
    prompt.max_instances = instances;
    prompts.push_back(std::move(prompt));
  }
  return prompts;
}

std::string list_of(const std::vector<MaskRuns>& masks) {
  std::string list;
  for (const MaskRuns& mask : masks) {
    list += list.empty() ? "[" : ",[";
    for (const auto i : c10::irange(mask.runs.size())) list += (i ? "," : "") + std::to_string(mask.runs[i]);
    list += "]";
  }
  return "[" + list + "]";
}

}  // namespace

Repeats::Repeats(const Json& task)
    : warmups(integer(task, "warmups", 2)),
      least(integer(task, "least", 2)),
      most(integer(task, "repeats", 10)),
      seconds(decimal(task, "seconds", 5.0)) {}

std::vector<double> Repeats::times_of(const std::function<double()>& round) const {
  for ([[maybe_unused]] const auto i : c10::irange(warmups)) round();
  std::vector<double> ms;
  const Stopwatch all;
  for (const auto i : c10::irange(most)) {
    if (i >= least && all.ms() > seconds * 1e3) break;
    ms.push_back(round());
  }
  return ms;
}

std::vector<std::vector<int64_t>> token_rows(const Json& task) {
  std::vector<std::vector<int64_t>> rows;
  for (const Json& row : task.at("texts").as_array("texts")) {
    rows.emplace_back();
    for (const Json& id : row.as_array("text")) rows.back().push_back(id.as_int("token"));
  }
  return rows;
}

void segment(Bench& bench, const Json& task, Line& line) {
  const Repeats repeats(task);
  const int64_t images = integer(task, "images", 1), calls = integer(task, "calls", 1);
  std::vector<Picture> pictures;
  for (const auto i : c10::irange(images))
    pictures.emplace_back(integer(task, "width", 1200), integer(task, "height", 800), static_cast<uint64_t>(i));
  auto rows = token_rows(task);
  size_t masks = 0;
  int64_t rounds = 0;
  EngineStats before = bench.engine->stats();
  const auto round = [&] {
    if (rounds++ == repeats.warmups) before = bench.engine->stats();
    for (auto& row : rows) row.at(1) = 1000 + bench.fresh++ % 40000;
    std::vector<SegmentItem> items;
    for (const Picture& picture : pictures)
      items.push_back({picture.raw(), prompts_of(rows, integer(task, "instances", 10))});
    const Stopwatch watch;
    std::vector<Pending<Segmentations>> waiting(static_cast<size_t>(calls));
    for (auto& call : waiting) bench.engine->segment(items, nullptr, call.callback());
    masks = 0;
    for (auto& call : waiting)
      for (const auto& image : call.value())
        for (const auto& found : image) masks += found.masks.masks.size();
    return watch.ms();
  };
  const auto ms = repeats.times_of(round);
  const EngineStats after = bench.engine->stats();
  const auto timed = static_cast<double>(images * calls) * static_cast<double>(ms.size());
  line.times(ms, static_cast<double>(images * calls))
      .add("images", static_cast<double>(images))
      .add("texts", static_cast<double>(rows.size()))
      .add("calls", static_cast<double>(calls))
      .add("masks", static_cast<double>(masks))
      .add("batches", static_cast<double>(after.batches - before.batches))
      .add("busy", (after.device_busy - before.device_busy) / (after.uptime - before.uptime))
      .add("device_ms", (after.device_busy - before.device_busy) / timed);
}

void predict(Bench& bench, const Json& task, Line& line) {
  const Repeats repeats(task);
  const Picture picture(integer(task, "width", 1200), integer(task, "height", 800), 1);
  Pending<std::vector<ImageFeaturesPtr>> encoded;
  bench.engine->encode({picture.raw()}, nullptr, encoded.callback());
  const ImageFeaturesPtr features = encoded.value()[0];
  const int64_t count = integer(task, "prompts", 1);
  std::vector<ClickPrompt> prompts(static_cast<size_t>(count));
  for (const auto i : c10::irange(count)) {
    const double at = static_cast<double>(i + 1) / static_cast<double>(count + 1);
    prompts[static_cast<size_t>(i)].points = {at, at};
    prompts[static_cast<size_t>(i)].labels = {1};
  }
  const auto round = [&] {
    const Stopwatch watch;
    Pending<Prediction> predicted;
    bench.engine->predict(features, prompts, true, nullptr, predicted.callback());
    predicted.value();
    return watch.ms();
  };
  line.times(repeats.times_of(round)).add("prompts", static_cast<double>(count));
}

void outputs(Bench& bench, const Json& task, Line& line) {
  const Picture picture(integer(task, "width", 320), integer(task, "height", 240), 7);
  Pending<Segmentations> segmented;
  bench.engine->segment({{picture.raw(), prompts_of(token_rows(task), -1)}}, nullptr, segmented.callback());
  const Segmentations found = segmented.value();
  std::string concepts;
  for (const Segmentation& one : found[0]) {
    std::vector<int64_t> areas;
    for (const MaskRuns& mask : one.masks.masks) areas.push_back(mask.area);
    Line text("text");
    text.add("scores", one.scores).add("boxes", one.boxes).add("presence", one.presence).add("areas", areas);
    concepts += (concepts.empty() ? "" : ",") + text.raw("runs", list_of(one.masks.masks)).text() + "}";
  }
  Pending<Prediction> predicted;
  const auto middle = static_cast<float>(bench.info.input_size) / 2;
  bench.engine->predict(picture.raw(), {{{middle, middle}, {1}, std::nullopt, {}}}, true, nullptr,
                        predicted.callback());
  const Prediction clicked = predicted.value();
  Line click("click");
  click.add("scores", clicked.ious).raw("runs", list_of(clicked.masks.masks));
  line.raw("concepts", "[" + concepts + "]").raw("click", click.text() + "}");
}

}  // namespace sam3::bench
