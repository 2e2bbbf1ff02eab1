#include <doctest/doctest.h>

#include <cmath>

#include "support/golden.h"

using namespace sam3;
using namespace sam3::test;

TEST_CASE("predict: prompts of every kind, asked together, are what each of them is alone") {
  const auto model = test_model().load();
  std::vector<uint8_t> pixels(90 * 60 * 3);
  for (size_t i = 0; i < pixels.size(); i++) pixels[i] = static_cast<uint8_t>(i * 7 % 251);
  const auto features = model->encode({RgbImage{pixels.data(), 90, 60}}, {})[0];
  const auto side = static_cast<size_t>(model->mask_side());
  ClickPrompt click{{0.3, 0.4}, {1}, {}, {}}, two{{0.3, 0.4, 0.7, 0.6}, {1, 0}, {}, {}}, box,
      masked{{0.6, 0.2}, {1}, {}, {}};
  box.box = {0.2, 0.2, 0.7, 0.8};
  masked.mask.assign(side * side, 2.0f);
  const std::vector<ClickPrompt> prompts{two, click, box, masked, click};
  for (const bool multimask : {true, false}) {
    CAPTURE(multimask);
    const size_t each = multimask ? 3 : 1;
    const Prediction all = model->predict(features, prompts, multimask, {});
    REQUIRE(all.masks.masks.size() == prompts.size() * each);
    for (size_t i = 0; i < prompts.size(); i++) {
      CAPTURE(i);
      const Prediction alone = model->predict(features, {prompts[i]}, multimask, {});
      CHECK(std::abs(all.object_scores[i] - alone.object_scores[0]) < 1e-3);
      for (size_t m = 0; m < each; m++) {
        CHECK(std::abs(all.ious[i * each + m] - alone.ious[m]) < 1e-4);
        float worst = 0;
        for (size_t p = 0; p < side * side; p++)
          worst = std::max(
              worst, std::abs(all.low_res[(i * each + m) * side * side + p] - alone.low_res[m * side * side + p]));
        CHECK(worst < 1e-3);
      }
    }
  }
  CHECK(model->predict(features, {}, true, {}).masks.masks.empty());
}
