// Points, boxes and masks of a bucket's objects, and how they become one conditioning frame for all of them.
#include <ATen/ATen.h>

#include <algorithm>

#include "core/error.h"
#include "core/host_values.h"
#include "masks/mask_overlap.h"
#include "video/tracker/masklet_bucket.h"

namespace sam3 {
namespace {

constexpr float kPreviousLimit = 32.0f;  // of logits that are fed back
constexpr float kSure = 10.0f;           // object logit of nothing at all

}  // namespace

at::Tensor MaskletBucket::previous_logits(int64_t frame, int64_t id) const {
  if (!contains(id)) return {};
  const size_t index = book_.index_of(id);
  at::Tensor logits;
  if (const auto* pending = book_.pending(index, frame))
    logits = pending->logits;  // undefined where the user gave a mask, as in the reference
  else if (const FrameOutput* output = bank_.for_objects(frame); output && output->masks.defined())
    logits = output->masks[static_cast<int64_t>(index)];
  return logits.defined() ? logits.clamp(-kPreviousLimit, kPreviousLimit) : logits;
}

void MaskletBucket::add_points(const TrackContext& context, int64_t frame, int64_t id, const ClickPrompt& input) {
  check_new(id);
  TrackNetwork::Points points = book_.merged_points(frame, id, input, context.model.input_size(), context.options);
  const Program::Levels image = context.frames.tracker(frame);
  const auto met = tracked_in_reverse_.find(frame);
  at::Tensor features;
  if (met != tracked_in_reverse_.end() && input.use_prev_mem_frame) {
    const auto& options = context.options;
    MemoryView view = memory_view(bank_, frame, met->second, options, context.network.memory_frames(),
                                  context.num_frames, static_cast<int64_t>(book_.index_of(id)));
    view.objects = 1;
    features = context.network.attend(image, {view}, most_pointers(options, context.num_frames));
  } else {
    features = context.network.without_memory(image);
  }
  const auto decoded = context.network.decode_points(image, features, points, previous_logits(frame, id));
  const auto scores = to_floats(at::cat({decoded.object_logits.flatten(), decoded.iou}));

  book_.set_points(frame, id, std::move(points), {decoded.masks[0], {}, decoded.pointers, scores[0], scores[1]});
}

void MaskletBucket::add_masks(const TrackContext& context, int64_t frame, const std::vector<int64_t>& ids,
                              const MaskPrompts& masks) {
  for (const int64_t id : ids) check_new(id);
  const at::Tensor pointers = context.network.pointers_of_masks(context.frames.tracker(frame), masks.inputs);
  const auto there = to_floats(masks.inputs.flatten(1).gt(0).any(1));
  book_.set_masks(frame, ids, masks.given, pointers, there);
}

FrameOutput MaskletBucket::consolidated(const TrackContext& context, int64_t frame) const {
  const int64_t side = context.model.mask_side();
  const Target& target = context.model.program().target();
  const auto logits = at::TensorOptions().dtype(at::kFloat).device(target.device);
  const at::Tensor absent = at::full({side, side}, kAbsent, logits);
  std::vector<at::Tensor> masks, pointers;
  std::vector<float> object_logits, iou;
  const FrameOutput* stored = bank_.for_objects(frame);
  for (size_t i = 0; i < ids().size(); i++) {
    const auto row = static_cast<int64_t>(i);
    if (const auto* pending = book_.pending(i, frame)) {
      masks.push_back(pending->mask(side));
      pointers.push_back(pending->pointer);
      object_logits.push_back(pending->object_logit);
      iou.push_back(pending->iou);
    } else if (stored && stored->masks.defined()) {
      masks.push_back(stored->masks[row].to(target.device));
      pointers.push_back(stored->pointers.narrow(0, row, 1).to(target.device));
      object_logits.push_back(stored->object_logits[row].item<float>());
      iou.push_back(stored->iou.flatten()[row].item<float>());
    } else {
      masks.push_back(absent);
      pointers.push_back(context.network.no_pointer());  // that of an empty mask
      object_logits.push_back(kSure);
      iou.push_back(0);
    }
  }
  FrameOutput output;
  output.masks = at::stack(masks);
  output.pointers = at::cat(pointers);
  output.object_logits = at::tensor(object_logits, at::kFloat).view({-1, 1});
  output.iou = at::tensor(iou, at::kFloat).view({-1, 1});
  return output;
}

at::Tensor MaskletBucket::prompted_memory(const TrackContext& context, int64_t frame, const FrameOutput& output) const {
  const int64_t size = context.model.input_size(), total = output.masks.size(0);
  const auto high = [&](int64_t begin, int64_t count) {
    return at::upsample_bilinear2d(output.masks.narrow(0, begin, count).unsqueeze(1), {size, size}, false).squeeze(1);
  };
  const int64_t step = context.network.objects_per_batch(10 * size * size);
  const at::Tensor strongest = strongest_object(high, total, step);
  return context.network.encode_memory(
      context.frames.tracker(frame),
      [&](int64_t begin, int64_t count) {
        return without_overlap(high(begin, count), strongest, begin).gt(0).to(at::kFloat) * 20.0f - 10.0f;
      },
      output.object_logits);
}

void MaskletBucket::preflight(const TrackContext& context) {
  std::vector<std::pair<int64_t, FrameOutput>> made;
  for (const int64_t frame : book_.preflight_order()) {
    FrameOutput output = consolidated(context, frame);
    output.memory =
        translate(ERR_INFERENCE, "Encoding prompts", [&] { return prompted_memory(context, frame, output); });
    made.emplace_back(frame, std::move(output));
  }
  started_ = true;
  for (auto& [frame, output] : made) {
    bank_.set_conditioning(frame, std::move(output));
    hide_around(context, frame);
  }
  book_.settle();
}

void MaskletBucket::replace_mask(const TrackContext& context, int64_t frame, int64_t id, const at::Tensor& given,
                                 const at::Tensor& pointer, float there) {
  if (!book_.pending_frames().empty()) preflight(context);  // of a click that failed half-way
  book_.set_masks(frame, {id}, given, pointer, {there});
  bank_.set_conditioning(frame, consolidated(context, frame));
  hide_around(context, frame);
  book_.settle();
}

void MaskletBucket::encode_conditioning(const TrackContext& context, int64_t frame) {
  bank_.set_memory(frame, translate(ERR_INFERENCE, "Encoding prompts",
                                    [&] { return prompted_memory(context, frame, *bank_.conditioning(frame)); }));
}

BucketFrame MaskletBucket::on_frame(const TrackContext& context, int64_t frame) const {
  const FrameOutput output = consolidated(context, frame);
  BucketFrame out{ids(), output.masks, output.object_logits.flatten(), {}};
  for (size_t i = 0; i < ids().size(); i++) {
    const auto* pending = book_.pending(i, frame);
    out.given.push_back(pending ? pending->given : at::Tensor());
  }
  return out;
}

}  // namespace sam3
