// The mask decoder in tracking: no prompt, points, or a mask given by the user.
#include <ATen/ATen.h>

#include "core/error.h"
#include "core/host_values.h"
#include "network/in_parts.h"
#include "network/mask_choice.h"
#include "video/tracker/track_network.h"

namespace sam3 {
namespace {

// One choice per object out of [N,M,...].
at::Tensor pick(const at::Tensor& of, const at::Tensor& choice) {
  return of.index({at::arange(choice.size(0), choice.options()), choice});
}

}  // namespace

Program::PromptTokens TrackNetwork::prompt_tokens(const Points& points, const at::Tensor& mask) {
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

TrackNetwork::Decoded TrackNetwork::decode_batch(const Program::Levels& image, const at::Tensor& features,
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

TrackNetwork::Decoded TrackNetwork::decode(const Program::Levels& image, const at::Tensor& features) {
  const StageTimer timer(clock_, &StageTimes::decode);
  return translate(ERR_INFERENCE, "Decoding masks", [&] {
    if (!no_prompt_.sparse.defined()) no_prompt_ = prompt_tokens({}, {});
    std::vector<Decoded> parts;
    in_parts(features.size(0), model_.pairs_per_batch(), features.device(), [&](int64_t begin, int64_t count) {
      const Program::PromptTokens tokens{no_prompt_.sparse.expand({count, -1, -1}),
                                         no_prompt_.dense.expand({count, -1, -1, -1})};
      translate(ERR_INFERENCE, "Decoding masks", [&] {
        parts.push_back(decode_batch(image, features.narrow(0, begin, count), tokens, /*multimask=*/true));
      });
    });
    if (parts.size() == 1) return parts[0];
    const auto join = [&](at::Tensor Decoded::* member) {
      std::vector<at::Tensor> tensors;
      for (const Decoded& part : parts) tensors.push_back(part.*member);
      return at::cat(tensors);
    };
    return Decoded{join(&Decoded::masks), join(&Decoded::pointers), join(&Decoded::object_logits), join(&Decoded::iou)};
  });
}

TrackNetwork::Decoded TrackNetwork::decode_points(const Program::Levels& image, const at::Tensor& features,
                                                  const Points& points, const at::Tensor& previous) {
  const StageTimer timer(clock_, &StageTimes::decode);
  return translate(ERR_INFERENCE, "Decoding clicks", [&] {
    // A single point is ambiguous: the best of three masks answers it. A box counts as two.
    return decode_batch(image, features, prompt_tokens(points, previous), points.labels.size() <= 1);
  });
}

at::Tensor TrackNetwork::pointers_of_masks(const Program::Levels& image, const at::Tensor& masks) {
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
      const auto decoded = decode_batch(image, image.coarse, tokens, /*multimask=*/false);
      const auto there = given.flatten(1).gt(0).any(1, /*keepdim=*/true);
      parts.push_back(at::where(there, decoded.pointers, no_pointer()));
    });
  });
  return parts.size() == 1 ? parts[0] : at::cat(parts);
}

}  // namespace sam3
