// Budgets: what calls ask of a device, counted on the stand-in with the network of the true size.
#include <ATen/ATen.h>
#include <doctest/doctest.h>

#include <cstdlib>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "image/image_model.h"
#include "standin/made_up.h"
#include "standin/standin.h"
#include "video/session/video_session.h"

using namespace sam3;

namespace {

struct Budget {
  int64_t operators, uploads, downloads, waits;
  std::string text() const {
    return std::to_string(operators) + " operators, " + std::to_string(uploads) + " uploads, " +
           std::to_string(downloads) + " downloads, " + std::to_string(waits) + " waits";
  }
};

const std::map<std::string, Budget> kBudgets{
#define SAM3_BUDGET(call, operators, uploads, downloads, waits) {call, {operators, uploads, downloads, waits}},
#include "standin/budgets.def"
#undef SAM3_BUDGET
};

constexpr int64_t kFound = 4;  // instances of each text

class Measured {
 public:
  Measured() {
    standin::set_kernels(standin::Kernels::shapes);
    ImageModelOptions options;
    options.device = "standin";
    options.dtype = "bfloat16";
    model = std::make_unique<ImageModel>(standin::shapes_model(), options, std::function<void(uint64_t, uint64_t)>{});
    standin::set_reader(standin::MadeUp(model->program().architecture().num_queries, model->mask_side(), kFound));
    standin::loaded();
    side = model->input_size();
    pixels.assign(static_cast<size_t>(side * side * 3), 127);
  }
  ~Measured() {
    model.reset();
    standin::set_reader({});
    standin::set_kernels(standin::Kernels::run);
  }

  RgbImage image() const { return {pixels.data(), side, side}; }

  void call(const std::string& name, const std::function<void()>& body) {
    standin::reset();
    body();
    measured.insert(name);
    const auto total = standin::total();
    const auto budget = kBudgets.find(name);
    REQUIRE_MESSAGE(budget != kBudgets.end(), "no budget of: " << name);
    const Budget found{total.operators, total.uploads, total.downloads, total.waits}, &most = budget->second;
    const bool kept = found.operators <= most.operators && found.uploads == most.uploads &&
                      found.downloads == most.downloads && found.waits == most.waits;
    const bool details = std::getenv("SAM3_BUDGET_DETAILS") != nullptr;  // which operators
    CHECK_MESSAGE(kept, name << ": " << found.text() << "; the budget is " << most.text() << "\n"
                             << standin::describe(details));
  }

  std::unique_ptr<ImageModel> model;
  int64_t side = 0;
  std::vector<uint8_t> pixels;
  std::set<std::string> measured;
};

ConceptPrompt text(int64_t word) {
  ConceptPrompt prompt;
  prompt.ids.assign(32, 0);
  prompt.ids[0] = 49406, prompt.ids[1] = word, prompt.ids[2] = 49407;  // start, one word, end
  return prompt;
}

std::vector<ConceptPrompt> texts(int64_t count, int64_t first = 1000) {
  std::vector<ConceptPrompt> prompts;
  for (int64_t i = 0; i < count; i++) prompts.push_back(text(first + i));
  return prompts;
}

void images(Measured& on) {
  const auto segment = [&](int64_t count, const std::vector<ConceptPrompt>& prompts) {
    const auto found = on.model->segment(std::vector<SegmentItem>(count, {on.image(), prompts}), {});
    REQUIRE(found.size() == static_cast<size_t>(count));
    for (const auto& one : found)
      for (const Segmentation& of_text : one) REQUIRE(of_text.masks.masks.size() == kFound);
  };
  segment(1, texts(1));  // makes what is kept
  on.call("segment, a new text", [&] { segment(1, texts(1, 2000)); });
  on.call("segment, a known text", [&] { segment(1, texts(1)); });
  segment(1, texts(8));
  on.call("segment, 8 texts", [&] { segment(1, texts(8)); });
  on.call("segment, 4 images x 4 texts", [&] { segment(4, texts(4)); });
  auto boxed = texts(1);
  boxed[0].boxes = {0.2, 0.2, 0.5, 0.5, 0.6, 0.3, 0.8, 0.5};
  boxed[0].labels = {1, 0};
  on.call("segment, a text and 2 boxes", [&] { segment(1, boxed); });

  const auto features = on.model->encode({on.image()}, {})[0];
  const ClickPrompt click{{0.3, 0.4}, {1}, {}, {}};
  const auto predict = [&](size_t count, bool multimask) {
    const auto found = on.model->predict(features, std::vector<ClickPrompt>(count, click), multimask, {});
    REQUIRE(found.masks.masks.size() == count * (multimask ? 3 : 1));
  };
  predict(1, true);
  on.call("predict, a click", [&] { predict(1, true); });
  on.call("predict, 8 clicks, one mask", [&] { predict(8, false); });
}

// The frame by which every memory has its place, and with full history one leaves the device for the host each time.
constexpr int64_t steady_frame(bool full_history) {
  return full_history ? 20 : 10;
}

void video(Measured& on, bool full_history) {
  VideoOptions options;
  options.width = options.height = on.side;
  const int64_t steady = steady_frame(full_history), frames = steady + 2;
  options.num_frames = frames;
  options.full_history = full_history;
  options.concepts.hotstart_delay = 0;
  options.concepts.max_num_objects = kFound;
  const auto image = on.image();
  const auto propagate = [&](VideoSession& session, const std::string& name, size_t objects = kFound) {
    session.begin(Direction::forward, {}, {});
    for (int64_t frame = 0; frame < frames; frame++) {
      std::vector<FrameResult> results;
      const auto step = [&] { results = session.step(frame, session.holds(frame) ? nullptr : &image, {}); };
      if (frame == steady)
        on.call(name + (full_history ? ", full history" : ""), step);
      else
        step();
      REQUIRE(results.size() == 1);
      REQUIRE(results[0].objects.size() == objects);
    }
    session.finish();
  };
  {
    VideoSession session(*on.model, options);
    session.add_concept(0, &image, text(1000), {});
    propagate(session, "frame of a text");
  }
  if (!full_history) {
    options.concepts.recondition_every_nth_frame = steady;
    VideoSession session(*on.model, options);
    session.add_concept(0, &image, text(1000), {});
    propagate(session, "frame of a text that corrects its objects");
    options.concepts.recondition_every_nth_frame = VideoOptions().concepts.recondition_every_nth_frame;
    VideoSession crowded(*on.model, options);
    for (const int64_t word : {1000, 1001, 1002, 1003}) crowded.add_concept(0, &image, text(word), {});
    propagate(crowded, "frame of 4 texts", 4 * kFound);
  }
  VideoSession session(*on.model, options);
  ClickPrompt click{{0.3, 0.4}, {1}, {}, {}};
  for (int64_t object = 1; object <= kFound; object++) session.add_points(0, &image, object, click, {});
  propagate(session, "frame of clicked objects");
}

}  // namespace

TEST_SUITE("standin") {
  TEST_CASE("calls keep to their budgets of operators, copies and waits") {
    Measured on;
    images(on);
    video(on, /*full_history=*/false);
    video(on, /*full_history=*/true);
    for (const auto& [name, budget] : kBudgets) CHECK_MESSAGE(on.measured.contains(name), "never measured: " << name);
  }
}
