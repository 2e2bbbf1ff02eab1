// The engine thread: what it answers, and that every call ends exactly once whatever happens meanwhile.
#include <thread>

#include "engine/engine_support.h"
#include "support/support.h"

using namespace sam3;
using namespace sam3::test;

TEST_CASE("engine: concepts and clicks, from pixels and from an encoded image") {
  const GoldenModel& golden = test_model();
  const Running running(golden);
  CHECK(running.info.device.rfind(test_device(), 0) == 0);
  CHECK(running.info.dtype == "float32");
  CHECK(running.info.input_size == 168);
  CHECK(running.info.mask_side == 48);
  CHECK(running.info.parameters > 1'000'000);
  CHECK(running.info.weight_bytes == 4 * running.info.parameters);

  Waiter<std::vector<ImageFeaturesPtr>> encoded;
  running.engine->encode({image()}, nullptr, encoded.callback());
  const auto features = encoded.value();
  REQUIRE(features.size() == 1);
  CHECK(features[0]->width == 60);

  Waiter<Segmentations> from_pixels, from_features, none;
  running.engine->segment({{image(), {prompt(1000), prompt(2000)}}}, nullptr, from_pixels.callback());
  running.engine->segment({{features[0], {prompt(2000)}}}, nullptr, from_features.callback());
  running.engine->segment({{features[0], {prompt(1000, 1.0f)}}}, nullptr, none.callback());
  const auto two = from_pixels.value(), one = from_features.value(), empty = none.value();
  REQUIRE(two.size() == 1);
  REQUIRE(two[0].size() == 2);
  const Segmentation& first = two[0][1];
  CHECK(first.scores.size() == 20);  // every query passes a threshold of 0
  CHECK(std::is_sorted(first.scores.rbegin(), first.scores.rend()));
  CHECK(first.boxes.size() == 4 * first.scores.size());
  REQUIRE(first.masks.masks.size() == first.scores.size());
  CHECK(first.masks.width == 60);
  CHECK(first.masks.height == 40);
  REQUIRE(one[0][0].scores.size() == first.scores.size());
  for (size_t i = 0; i < first.scores.size(); i++)
    CHECK(one[0][0].scores[i] == doctest::Approx(first.scores[i]).epsilon(1e-4));
  CHECK(empty[0][0].scores.empty());
  CHECK(empty[0][0].masks.masks.empty());

  Waiter<Prediction> clicked;
  running.engine->predict(features[0], {{{84, 84}, {1}, std::nullopt, {}}}, true, nullptr, clicked.callback());
  const auto prediction = clicked.value();
  CHECK(prediction.ious.size() == 3);
  CHECK(prediction.masks.masks.size() == 3);
  CHECK(prediction.low_res_size == 48);
  CHECK(prediction.low_res.size() == 3 * 48 * 48);
}

TEST_CASE("engine: each call is told where its time went, and it adds up") {
  const GoldenModel& golden = test_model();
  const Running running(golden);
  const auto before = running.engine->stats();
  std::vector<CallStages> reports(4);
  std::vector<Waiter<Segmentations>> waiters(4);
  for (size_t i = 0; i < 4; i++)
    running.engine->segment({{image(), {prompt(1000)}}}, nullptr, waiters[i].callback(),
                            [&, i](const CallStages& report) { reports[i] = report; });
  for (auto& waiter : waiters) waiter.value();
  Waiter<std::vector<ImageFeaturesPtr>> encoded;  // behind it all is counted
  running.engine->encode({image()}, nullptr, encoded.callback());
  const auto features = encoded.value();
  for (int i = 0; i < 2; i++) {  // a call is counted behind its answer, but before the next one begins
    Waiter<Segmentations> last;
    running.engine->segment({{features[0], {prompt(1000)}}}, nullptr, last.callback());
    last.value();
  }

  std::array<double, kStageNames.size()> sums{};
  uint64_t number = 0;
  for (const CallStages& report : reports) {
    REQUIRE(report.stages.size() == 5);
    const bool first = report.batch != number;
    CHECK(report.batch >= number);
    CHECK(report.images == report.calls);  // one each
    double from = report.stages[0].begin;
    for (size_t i = 0; i < 5; i++) {
      const StageSpan& span = report.stages[i];
      CHECK(span.stage == static_cast<Stage>(i));
      CHECK(span.begin >= from - 1e-6);
      CHECK(span.end >= span.begin);
      from = span.begin;
      if (first || span.stage == Stage::queue) sums[i] += span.end - span.begin;  // a batch counts once
    }
    number = report.batch;
  }
  const auto after = running.engine->stats();
  for (size_t i = 0; i < 5; i++) CHECK(after.stages[i] - before.stages[i] >= sums[i] - 1e-6);
  CHECK(after.device_busy > before.device_busy);
  CHECK(after.device_busy - before.device_busy <= after.uptime - before.uptime);
  CHECK(after.images == 1);
  CHECK(after.image_bytes == features[0]->bytes());
  CHECK(after.device_memory.has_value() == (test_device() != "cpu"));
}

TEST_CASE("engine: calls that share batches get what each gets alone, a bad one its error; whole and in parts") {
  const GoldenModel& golden = test_model();
  for (const int64_t budget : {0, 1}) {  // bytes of activations: one prompt at a time
    CAPTURE(budget);
    const Running running(golden, 256, /*max_batch=*/4, budget);
    Waiter<std::vector<ImageFeaturesPtr>> encoded;
    running.engine->encode({image()}, nullptr, encoded.callback());
    const auto features = encoded.value()[0];
    const RgbImage tall{pixels().data(), 40, 60};
    auto all_of_it = prompt(2000);
    all_of_it.logits = all_of_it.semantic = true;
    auto bad = prompt(1000);
    bad.ids.pop_back();
    const std::vector<std::vector<SegmentItem>> calls{{{image(), {prompt(1000), prompt(2000)}}},
                                                      {{features, {prompt(2000)}}, {tall, {prompt(3000, 1.0f)}}},
                                                      {{image(), {bad}}},
                                                      {{tall, {all_of_it}}},
                                                      {{image(), {}}},
                                                      {{tall, {prompt(1000)}}, {image(), {prompt(1000)}}}};
    std::vector<Segmentations> alone;
    for (const auto& call : calls) {
      Waiter<Segmentations> waiter;
      running.engine->segment(call, nullptr, waiter.callback());
      auto outcome = waiter.outcome();
      const auto* error = std::get_if<Error>(&outcome);
      const std::string code = error ? name_of(error->code()) : "";
      CHECK(code == (alone.size() == 2 ? "ERR_INVALID_ARGUMENT" : ""));
      alone.push_back(error ? Segmentations{} : std::get<Segmentations>(std::move(outcome)));
    }
    std::vector<Waiter<Segmentations>> together(3 * calls.size());
    for (size_t i = 0; i < together.size(); i++)
      running.engine->segment(calls[i % calls.size()], nullptr, together[i].callback());
    for (size_t i = 0; i < together.size(); i++) {
      const size_t call = i % calls.size();
      CAPTURE(call);
      if (call == 2) {
        CHECK(together[i].code() == "ERR_INVALID_ARGUMENT");
        continue;
      }
      const auto found = together[i].value();
      REQUIRE(found.size() == alone[call].size());
      for (size_t item = 0; item < found.size(); item++) {
        REQUIRE(found[item].size() == alone[call][item].size());
        for (size_t p = 0; p < found[item].size(); p++) {
          const Segmentation &a = found[item][p], &b = alone[call][item][p];
          CHECK(a.presence == doctest::Approx(b.presence).epsilon(1e-4));
          REQUIRE(a.scores.size() == b.scores.size());
          REQUIRE(a.masks.masks.size() == b.masks.masks.size());
          CHECK(a.masks.width == b.masks.width);
          CHECK(a.semantic.has_value() == b.semantic.has_value());
          CHECK(a.logits.size() == b.logits.size());
          for (size_t k = 0; k < a.scores.size(); k++) {
            CHECK(a.scores[k] == doctest::Approx(b.scores[k]).epsilon(1e-3));
            CHECK(std::abs(a.masks.masks[k].area - b.masks.masks[k].area) <= 24);  // of 2,400
          }
        }
      }
    }
  }
}

TEST_CASE("engine: a full queue refuses, and serves what it took") {
  const GoldenModel& golden = test_model();
  const Running running(golden, 2);
  std::vector<Waiter<Segmentations>> waiters(12);
  for (auto& waiter : waiters) running.engine->segment({{image(), {prompt(1000)}}}, nullptr, waiter.callback());
  int served = 0, refused = 0;
  for (auto& waiter : waiters) {
    const std::string code = waiter.code();
    served += code.empty();
    refused += code == "ERR_QUEUE_FULL";
  }
  CHECK(served + refused == 12);
  CHECK(served >= 2);
  CHECK(refused >= 1);
}

TEST_CASE("engine: a cancelled call ends with ABORT_ERR, its neighbours do not") {
  const GoldenModel& golden = test_model();
  const Running running(golden);
  const auto before = std::make_shared<CancelToken>(), waiting = std::make_shared<CancelToken>();
  before->cancel();
  Waiter<Segmentations> never, dropped;
  std::vector<Waiter<Segmentations>> kept(5);  // keep the engine busy until the last call is cancelled
  running.engine->segment({{image(), {prompt(1)}}}, before, never.callback());
  for (auto& waiter : kept) running.engine->segment({{image(), {prompt(2)}}}, nullptr, waiter.callback());
  running.engine->segment({{image(), {prompt(3)}}}, waiting, dropped.callback());
  waiting->cancel();
  running.engine->drop_cancelled();
  CHECK(never.code() == "ABORT_ERR");
  CHECK(dropped.code() == "ABORT_ERR");
  for (auto& waiter : kept) CHECK(waiter.code() == "");
}

TEST_CASE("engine: a call with more images than a batch is one call, whose batches follow one another") {
  const GoldenModel& golden = test_model();
  const Running running(golden, 256, /*max_batch=*/4);
  const RgbImage tall{pixels().data(), 40, 60};
  std::vector<SegmentItem> items;
  for (int64_t i = 0; i < 11; i++) items.push_back({i % 3 ? image() : tall, {prompt(1000 + 10 * i)}});
  std::vector<Segmentations> alone;
  for (const auto& item : items) {
    Waiter<Segmentations> waiter;
    running.engine->segment({item}, nullptr, waiter.callback());
    alone.push_back(waiter.value());
  }
  const auto before = running.engine->stats();
  std::vector<CallStages> reports;
  Waiter<Segmentations> waiter;
  running.engine->segment(items, nullptr, waiter.callback(),
                          [&](const CallStages& report) { reports.push_back(report); });
  const auto found = waiter.value();
  CHECK(waiter.calls() == 1);
  REQUIRE(found.size() == items.size());
  for (size_t i = 0; i < found.size(); i++) {
    CAPTURE(i);
    const Segmentation &one = found[i][0], &other = alone[i][0][0];
    REQUIRE(one.scores.size() == other.scores.size());
    for (size_t q = 0; q < one.scores.size(); q++)
      CHECK(one.scores[q] == doctest::Approx(other.scores[q]).epsilon(1e-3));
    CHECK(one.masks.width == other.masks.width);
  }
  REQUIRE(reports.size() == 1);
  CHECK(reports[0].images == items.size());
  CHECK(reports[0].stages[0].stage == Stage::queue);
  CHECK(std::is_sorted(reports[0].stages.begin(), reports[0].stages.end(),
                       [](const StageSpan& a, const StageSpan& b) { return a.begin < b.begin; }));
  CHECK(running.engine->stats().calls == before.calls + 1);

  // Its parts have one fate.
  auto bad = items;
  bad[9].prompts[0].ids.pop_back();
  Waiter<Segmentations> refused, unwanted, next;
  const auto token = std::make_shared<CancelToken>();
  running.engine->segment(bad, nullptr, refused.callback());
  running.engine->segment(items, token, unwanted.callback());
  token->cancel();
  running.engine->segment(items, nullptr, next.callback());
  CHECK(refused.code() == "ERR_INVALID_ARGUMENT");
  CHECK(unwanted.code() == "ABORT_ERR");
  CHECK(next.value().size() == items.size());
  for (auto* one : {&refused, &unwanted, &next}) CHECK(one->calls() == 1);
}

TEST_CASE("engine: disposed in full flight, every call ends exactly once") {
  const GoldenModel& golden = test_model();
  const Running running(golden);
  constexpr int kThreads = 4, kCalls = 15;
  std::vector<Waiter<Segmentations>> waiters(kThreads * kCalls);
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; t++)
    threads.emplace_back([&, t] {
      for (int i = 0; i < kCalls; i++) {
        const auto token = std::make_shared<CancelToken>();
        running.engine->segment({{image(), {prompt(100 + i)}}}, token,
                                waiters[static_cast<size_t>(t * kCalls + i)].callback());
        if (i % 5 == 4) token->cancel(), running.engine->drop_cancelled();
        if (t == 0 && i == kCalls / 2) running.engine->dispose(Error(ERR_DISPOSED, "The model was disposed."));
      }
    });
  for (auto& thread : threads) thread.join();
  dispose(*running.engine);
  int disposed = 0;
  for (auto& waiter : waiters) {
    const std::string code = waiter.code();
    CHECK((code.empty() || code == "ERR_DISPOSED" || code == "ABORT_ERR"));
    CHECK(waiter.calls() == 1);
    disposed += code == "ERR_DISPOSED";
  }
  CHECK(disposed > 0);
  Waiter<Segmentations> late;
  running.engine->segment({{image(), {prompt(1)}}}, nullptr, late.callback());
  CHECK(late.code() == "ERR_DISPOSED");
}

TEST_CASE("engine: an encoded image does not outlive its model") {
  const GoldenModel& golden = test_model();
  ImageFeaturesPtr features;
  {
    const Running running(golden);
    Waiter<std::vector<ImageFeaturesPtr>> encoded;
    running.engine->encode({image()}, nullptr, encoded.callback());
    features = encoded.value()[0];
    CHECK_FALSE(features->released());
    dispose(*running.engine);
  }
  CHECK(features->released());
}

TEST_CASE("engine: a model that cannot be loaded says why, and ends its thread") {
  const GoldenModel& golden = test_model();
  const auto start = [&](ProgramFiles files) {
    EngineOptions options;
    options.model.device = "cpu";
    Waiter<ModelInfo> loaded;
    const auto engine = Engine::start(std::move(files), options, {}, loaded.callback());
    const std::string code = loaded.code();
    Waiter<Segmentations> late;
    engine->segment({{image(), {prompt(1)}}}, nullptr, late.callback());
    CHECK(late.code() == code);
    engine->join();
    return code;
  };
  const std::string program = golden.program + "/program.pt", names = golden.program + "/names.json",
                    weights = golden.weights;
  CHECK(start({program, names, weights + ".absent"}) == "ERR_MODEL_NOT_FOUND");
  CHECK(start({program, names + ".absent", weights}) == "ERR_MODEL_NOT_FOUND");
  CHECK(start({names, names, weights}) == "ERR_PROGRAM");
  CHECK(start({program, program, weights}) == "ERR_MODEL_FORMAT");
  CHECK(start({program, names, fixture("nested.pt")}) == "ERR_MODEL_FORMAT");
  CHECK(start({program, names, fixture("list.pt")}) == "ERR_MODEL_FORMAT");
  CHECK(start({"", "", weights}) == "ERR_PROGRAM");
  const TempFolder folder;
  CHECK(start({program, names, folder.write("cut.safetensors", read_file(weights).substr(0, 1'000'000))}) ==
        "ERR_WEIGHTS_CORRUPT");
}
