// Click prompts on one image, as SAM 1 and 2 have them. Source: Meta's SAM3InteractiveImagePredictor (section B of the
// semantics: no gating by the object score, holes filled before upsampling, returned logits clamped but not filled).
#include <ATen/ATen.h>

#include <algorithm>
#include <map>

#include "core/error.h"
#include "core/host_values.h"
#include "image/image_model.h"
#include "masks/mask_ops.h"
#include "network/mask_choice.h"

namespace sam3 {
namespace {

constexpr int64_t kMaxHoleArea = 256;  // low-resolution pixels
constexpr float kHoleFill = 10.0f;
constexpr float kLogitClamp = 32.0f;

// How many tokens a prompt has; prompts with equally many can share a batch, because padding tokens would be attended
// to.
int64_t token_count(const ClickPrompt& p) {
  return static_cast<int64_t>(p.labels.size()) + (p.box ? 2 : 0);
}

}  // namespace

// Of N prompts, M masks each; on the device, float32.
struct ImageModel::Answers {
  at::Tensor masks, ious, objects;  // [N,M,4G,4G], [N,M], [N,1]
};

ImageModel::Answers ImageModel::predict_batch(const Program::Levels& levels, const std::vector<ClickPrompt>& prompts,
                                              const std::vector<size_t>& members, bool multimask) {
  const auto count = static_cast<int64_t>(members.size());
  const int64_t n = token_count(prompts[members[0]]), side = mask_side();
  auto points = at::zeros({count, n, 2}, at::kFloat);
  auto labels = at::zeros({count, n}, at::kLong);
  auto use_mask = at::zeros({count}, at::kBool);
  const bool masked = std::any_of(members.begin(), members.end(), [&](size_t i) { return !prompts[i].mask.empty(); });
  auto mask = at::zeros({masked ? count : 0, 1, side, side}, at::kFloat);
  const auto in_pixels = [this](double x) { return static_cast<float>(x * static_cast<double>(input_size_)); };
  for (int64_t i = 0; i < count; i++) {
    const ClickPrompt& prompt = prompts[members[i]];
    float* xy = points.mutable_data_ptr<float>() + i * n * 2;
    int64_t* label = labels.mutable_data_ptr<int64_t>() + i * n;
    if (prompt.box) {  // the corners come first
      xy = std::transform(prompt.box->begin(), prompt.box->end(), xy, in_pixels);
      *label++ = Program::kBoxTopLeft;
      *label++ = Program::kBoxBottomRight;
    }
    std::transform(prompt.points.begin(), prompt.points.end(), xy, in_pixels);
    std::copy(prompt.labels.begin(), prompt.labels.end(), label);
    if (!prompt.mask.empty()) {
      std::copy(prompt.mask.begin(), prompt.mask.end(), mask.mutable_data_ptr<float>() + i * side * side);
      use_mask.mutable_data_ptr<bool>()[i] = true;
    }
  }
  const auto sent = upload({points, labels, mask.to(program_.target().dtype), use_mask}, program_.target().device);
  auto tokens = program_.prompt_encode(sent[0], sent[1], sent[2], sent[3]);
  // A mask alone has no sparse tokens at all, not even the padding one.
  if (n == 0) tokens.sparse = tokens.sparse.narrow(1, 0, 0);

  const auto expand = [&](const at::Tensor& t) { return t.expand({count, -1, -1, -1}); };
  const auto decoded =
      program_.mask_decode(expand(levels.fine), expand(levels.middle), expand(levels.coarse + no_memory_), tokens);
  const auto all = decoded.masks.to(at::kFloat), iou = decoded.iou.to(at::kFloat),
             objects = decoded.object.to(at::kFloat);
  if (multimask) return {all.narrow(1, 1, 3), iou.narrow(1, 1, 3), objects};
  const auto pick = choose_single_mask(all, iou);
  const auto row = at::arange(count, pick.options());
  return {all.index({row, pick}).unsqueeze(1), iou.index({row, pick}).unsqueeze(1), objects};
}

Prediction ImageModel::predict(const ImageInput& image, const std::vector<ClickPrompt>& prompts, bool multimask,
                               const CancelProbe& cancel, StageLog* log) {
  cancel.check();
  program_.parts().require_clicks();
  const auto low_res_size = static_cast<size_t>(mask_side() * mask_side());
  for (const auto& prompt : prompts)
    if (prompt.points.size() != 2 * prompt.labels.size() ||
        (!prompt.mask.empty() && prompt.mask.size() != low_res_size))
      throw Error(ERR_INVALID_ARGUMENT, "A prompt needs two point numbers for each label, and a mask of " +
                                            std::to_string(mask_side()) + " x " + std::to_string(mask_side()) +
                                            " logits or none.");
  ImageFeaturesPtr features;
  if (const auto* raw = std::get_if<RgbImage>(&image))
    features = encode({*raw}, cancel, log)[0];
  else
    features = std::get<ImageFeaturesPtr>(image);
  if (features->released()) throw Error(ERR_DISPOSED, "This image was disposed; encode it again.");

  return translate(ERR_INFERENCE, "Predicting masks", [&] {
    std::optional<StageLog::Running> stage(std::in_place, log, Stage::detect, /*on_device=*/true);
    const auto& levels = tracker_levels(*features);
    if (!no_memory_.defined()) no_memory_ = program_.no_memory(grid_).view({1, -1, 1, 1});
    cancel.check();

    std::map<int64_t, std::vector<size_t>> by_tokens;
    for (size_t i = 0; i < prompts.size(); i++) by_tokens[token_count(prompts[i])].push_back(i);
    const auto limit = static_cast<size_t>(pairs_per_batch());
    std::vector<size_t> order;        // prompts as the batches have them
    std::vector<at::Tensor> answers;  // masks of all batches, then ious, then objects
    std::vector<at::Tensor> ious, objects;
    for (const auto& [tokens, members] : by_tokens) {
      for (size_t begin = 0; begin < members.size(); begin += limit) {
        cancel.check();
        const std::vector<size_t> batch(members.begin() + begin,
                                        members.begin() + std::min(members.size(), begin + limit));
        Answers found = predict_batch(levels, prompts, batch, multimask);
        order.insert(order.end(), batch.begin(), batch.end());
        answers.push_back(std::move(found.masks));
        ious.push_back(std::move(found.ious));
        objects.push_back(std::move(found.objects));
      }
    }
    stage.reset();
    const auto on_host = StageLog::on_host(log, Stage::masks);
    const size_t batches = answers.size();
    answers.insert(answers.end(), ious.begin(), ious.end());
    answers.insert(answers.end(), objects.begin(), objects.end());
    const auto values = to_floats(answers);

    const auto count = static_cast<int64_t>(prompts.size()), each = static_cast<int64_t>(multimask ? 3 : 1),
               side = mask_side();
    Prediction out;
    out.low_res_size = side;
    out.ious.resize(count * each);
    out.object_scores.resize(count);
    auto masks = at::empty({count * each, side, side}, at::kFloat);
    auto next = order.begin();
    for (size_t batch = 0; batch < batches; batch++) {
      const auto &logits = values[batch], &scores = values[batches + batch], &seen = values[2 * batches + batch];
      for (size_t i = 0; i < seen.size(); i++, next++) {
        const auto place = static_cast<int64_t>(*next) * each, from = static_cast<int64_t>(i) * each;
        std::copy_n(logits.begin() + from * side * side, each * side * side,
                    masks.mutable_data_ptr<float>() + place * side * side);
        std::copy_n(scores.begin() + from, each, out.ious.begin() + place);
        out.object_scores[*next] = seen[i];
      }
    }
    out.masks = runs_from_logits(fill_holes(masks, kMaxHoleArea, kHoleFill), features->width, features->height);
    out.low_res = to_floats(masks.clamp_(-kLogitClamp, kLogitClamp));
    return out;
  });
}

}  // namespace sam3
