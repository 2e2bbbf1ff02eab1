#include "video/tracker/click_network.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "core/error.h"
#include "core/host_values.h"
#include "network/in_parts.h"
#include "network/mask_choice.h"

namespace sam3 {
namespace {

// One choice per object out of [N,M,...].
at::Tensor pick(const at::Tensor& of, const at::Tensor& choice) {
  return of.index({at::arange(choice.size(0), choice.options()), choice});
}

}  // namespace

int64_t ClickNetwork::objects_per_batch(int64_t floats) const {
  const auto bytes = floats * static_cast<int64_t>(c10::elementSize(model_.program().target().dtype));
  return std::max<int64_t>(1, model_.memory_budget() / std::max<int64_t>(bytes, 1));
}

at::Tensor ClickNetwork::to_device(const at::Tensor& t) const {
  return t.is_cpu() ? upload(t, model_.program().target().device) : t;
}

at::Tensor ClickNetwork::without_memory(const Program::Levels& image) {
  if (!no_memory_.defined()) no_memory_ = model_.program().no_memory(model_.grid());
  return image.coarse + no_memory_.view({1, -1, 1, 1});
}

at::Tensor ClickNetwork::without_empty(const at::Tensor& pointers, const at::Tensor& masks) {
  const auto there = masks.flatten(1).gt(0).any(1, /*keepdim=*/true);
  if (model_.program().is_multiplex()) return at::where(there, pointers, model_.program().no_object_pointer(pointers));
  if (!no_pointer_.defined()) no_pointer_ = model_.program().tracker_constants(model_.grid()).no_pointer;
  return at::where(there, pointers, no_pointer_);
}

Program::PromptTokens ClickNetwork::prompt_tokens(const Points& points, const at::Tensor& mask) {
  const int64_t side = model_.mask_side();
  // Without points there is one padding point, beside the one that the encoder itself appends.
  const bool none = points.labels.empty();
  const auto xy = none ? at::zeros({1, 1, 2}, at::kFloat) : at::tensor(points.xy, at::kFloat).view({1, -1, 2});
  const auto labels = none ? at::full({1, 1}, -1, at::kLong) : at::tensor(points.labels, at::kLong).unsqueeze(0);
  const Target& target = model_.program().target();
  const auto sent = upload({xy, labels, at::full({1}, mask.defined(), at::kBool)}, target.device);
  const auto prompt = mask.defined() ? mask.to(target.device, target.dtype).view({1, 1, side, side})
                                     : at::empty({0, 1, side, side}, sent[0].options().dtype(target.dtype));
  return model_.program().prompt_encode(sent[0], sent[1], prompt, sent[2]);
}

ClickNetwork::Decoded ClickNetwork::decode_batch(const Program::Levels& image, const at::Tensor& features,
                                                 const Program::PromptTokens& tokens, bool multimask) {
  const auto decoded = model_.program().mask_decode(image.fine, image.middle, features, tokens);
  const auto masks = decoded.masks.to(at::kFloat), iou = decoded.iou.to(at::kFloat);
  Decoded out;
  out.object_logits = decoded.object.to(at::kFloat);
  at::Tensor choice, token;
  if (multimask) {
    choice = iou.narrow(1, 1, 3).argmax(1) + 1;
    token = pick(decoded.tokens, choice);
  } else {
    choice = choose_single_mask(masks, iou);
    token = decoded.tokens.select(1, 0);  // whichever mask was chosen, as in the reference
  }
  out.masks = at::where((out.object_logits > 0).unsqueeze(-1), pick(masks, choice), kAbsent);
  out.iou = pick(iou, choice);
  out.pointers = model_.program().object_pointer(token, decoded.object);
  return out;
}

ClickNetwork::Decoded ClickNetwork::decode_points(const Program::Levels& image, const at::Tensor& features,
                                                  const Points& points, const at::Tensor& previous) {
  const StageTimer timer(clock_, &StageTimes::decode);
  return translate(ERR_INFERENCE, "Decoding clicks", [&] {
    // A single point is ambiguous: the best of three masks answers it. A box counts as two.
    return decode_batch(image, features, prompt_tokens(points, previous), points.labels.size() <= 1);
  });
}

at::Tensor ClickNetwork::pointers_of_masks(const Program::Levels& image, const at::Tensor& masks) {
  const StageTimer timer(clock_, &StageTimes::decode);
  const auto dtype = model_.program().target().dtype;
  std::vector<at::Tensor> parts;
  in_parts(masks.size(0), model_.pairs_per_batch(), masks.device(), [&](int64_t begin, int64_t count) {
    translate(ERR_INFERENCE, "Decoding masks that were given", [&] {
      const auto given = masks.narrow(0, begin, count);
      const auto prompt = model_.program().mask_to_prompt(given.unsqueeze(1).to(dtype));
      const auto on = prompt.options();
      const auto tokens = model_.program().prompt_encode(at::zeros({count, 1, 2}, on.dtype(at::kFloat)),
                                                         at::full({count, 1}, -1, on.dtype(at::kLong)), prompt,
                                                         at::full({count}, true, on.dtype(at::kBool)));
      // SAM 3 takes the bare image here.
      const auto features = model_.program().is_multiplex() ? without_memory(image) : image.coarse;
      const auto decoded = decode_batch(image, features, tokens, /*multimask=*/false);
      parts.push_back(without_empty(decoded.pointers, given));
    });
  });
  return parts.size() == 1 ? parts[0] : at::cat(parts);
}

}  // namespace sam3
