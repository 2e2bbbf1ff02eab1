// Points, boxes and masks of a bucket's objects, and how they become one conditioning frame for all of them.
#include <ATen/ATen.h>

#include <algorithm>

#include "core/error.h"
#include "core/host_values.h"
#include "masks/mask_overlap.h"
#include "video/tracker/masklet_bucket.h"
#include "video/tracker/set_order.h"

namespace sam3 {
namespace {

constexpr float kPresent = -kAbsent;     // logit inside of a mask that the user drew
constexpr float kPreviousLimit = 32.0f;  // of logits that are fed back
constexpr float kSure = 10.0f;           // object logit of a mask that the user drew, or of nothing at all

}  // namespace

TrackNetwork::Points MaskletBucket::merged_points(const TrackContext& context, int64_t frame, int64_t id,
                                                  const ClickPrompt& input) const {
  const auto invalid = [](const std::string& message) { throw Error(ERR_INVALID_ARGUMENT, message); };
  if (input.points.size() != 2 * input.labels.size()) invalid("Points need two numbers for each label.");
  if (input.labels.empty() && !input.box) invalid("A prompt needs points or a box.");
  if (input.box && !input.clear_old_points)
    invalid("A box comes before all points of its frame: send it with clearOldPoints, and points with it or after it.");
  TrackNetwork::Points points;
  if (!input.clear_old_points && contains(id)) {
    const auto& old = masklets_[index_of(id)].points;
    if (const auto found = old.find(frame); found != old.end()) points = found->second;
  }
  const auto add = [&](const double* xy, size_t numbers) {
    const auto size = static_cast<double>(context.model.input_size());
    for (size_t i = 0; i < numbers; i++) points.xy.push_back(static_cast<float>(xy[i] * size));
  };
  if (input.box) {
    add(input.box->data(), 4);
    points.labels = {Program::kBoxTopLeft, Program::kBoxBottomRight};
  }
  add(input.points.data(), input.points.size());
  points.labels.insert(points.labels.end(), input.labels.begin(), input.labels.end());

  const auto count = static_cast<int64_t>(points.labels.size()), most = context.options.max_point_num_in_prompt_enc;
  if (most > 0 && count > most) {
    const int64_t first = most / 2, drop = count - most;
    points.xy.erase(points.xy.begin() + 2 * first, points.xy.begin() + 2 * (first + drop));
    points.labels.erase(points.labels.begin() + first, points.labels.begin() + first + drop);
  }
  return points;
}

at::Tensor MaskletBucket::previous_logits(int64_t frame, int64_t id) const {
  if (!contains(id)) return {};
  const size_t index = index_of(id);
  const auto& pending = masklets_[index].pending;
  at::Tensor logits;
  if (const auto found = pending.find(frame); found != pending.end())
    logits = found->second.logits;  // undefined where the user gave a mask, as in the reference
  else if (const FrameOutput* output = bank_.for_objects(frame); output && output->masks.defined())
    logits = output->masks[static_cast<int64_t>(index)];
  return logits.defined() ? logits.clamp(-kPreviousLimit, kPreviousLimit) : logits;
}

void MaskletBucket::add_points(const TrackContext& context, int64_t frame, int64_t id, const ClickPrompt& input) {
  check_new(id);
  TrackNetwork::Points points = merged_points(context, frame, id, input);
  const Program::Levels image = context.frames.tracker(frame);
  const auto met = tracked_in_reverse_.find(frame);
  at::Tensor features;
  if (met != tracked_in_reverse_.end() && input.use_prev_mem_frame) {
    const auto& options = context.options;
    MemoryView view = memory_view(bank_, frame, met->second, options, context.network.memory_frames(),
                                  context.num_frames, static_cast<int64_t>(index_of(id)));
    view.objects = 1;
    features = context.network.attend(image, {view}, most_pointers(options, context.num_frames));
  } else {
    features = context.network.without_memory(image);
  }
  const auto decoded = context.network.decode_points(image, features, points, previous_logits(frame, id));
  const auto scores = to_floats(at::cat({decoded.object_logits.flatten(), decoded.iou}));

  Masklet& one = masklet(id);
  one.points[frame] = std::move(points);
  one.masks.erase(frame);
  set_pending(one, frame, {decoded.masks[0], {}, decoded.pointers, scores[0], scores[1]});
}

void MaskletBucket::add_masks(const TrackContext& context, int64_t frame, const std::vector<int64_t>& ids,
                              const at::Tensor& inputs, const at::Tensor& given) {
  for (const int64_t id : ids) check_new(id);
  const at::Tensor pointers = context.network.pointers_of_masks(context.frames.tracker(frame), inputs);
  const auto there = to_floats(inputs.flatten(1).gt(0).any(1));
  const at::Tensor others = given.logical_not();

  for (size_t k = 0; k < ids.size(); k++) {
    const auto row = static_cast<int64_t>(k);
    Masklet& one = masklet(ids[k]);
    one.masks.insert(frame);
    one.points.erase(frame);
    for (Masklet& other : masklets_) {
      const auto found = other.pending.find(frame);
      if (&other == &one || found == other.pending.end() || !found->second.given.defined()) continue;
      found->second.given = found->second.given.logical_and(others[row]);
    }
    // Copies: a view would keep the masks of all alive.
    set_pending(one, frame,
                {{}, given[row].clone(), pointers.narrow(0, row, 1).clone(), there[k] > 0 ? kSure : -kSure, 1});
  }
}

FrameOutput MaskletBucket::consolidated(const TrackContext& context, int64_t frame) const {
  const int64_t side = context.model.mask_side();
  const Target& target = context.model.program().target();
  const auto logits = at::TensorOptions().dtype(at::kFloat).device(target.device);
  const at::Tensor absent = at::full({side, side}, kAbsent, logits);
  std::vector<at::Tensor> masks, pointers;
  std::vector<float> object_logits, iou;
  const FrameOutput* stored = bank_.for_objects(frame);
  for (size_t i = 0; i < ids_.size(); i++) {
    const auto row = static_cast<int64_t>(i);
    const auto& pending = masklets_[i].pending;
    if (const auto found = pending.find(frame); found != pending.end()) {
      at::Tensor mask = found->second.logits;
      if (!mask.defined()) {
        mask = at::where(found->second.given, kPresent, kAbsent).to(at::kFloat);
        if (mask.size(0) != side || mask.size(1) != side)
          mask = at::_upsample_bilinear2d_aa(mask.unsqueeze(0).unsqueeze(0), {side, side}, false)[0][0];
      }
      masks.push_back(mask);
      pointers.push_back(found->second.pointer);
      object_logits.push_back(found->second.object_logit);
      iou.push_back(found->second.iou);
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

void MaskletBucket::set_pending(Masklet& masklet, int64_t frame, Pending pending) {
  const auto found = masklet.pending.find(frame);
  pending.order = found == masklet.pending.end() ? next_order_++ : found->second.order;
  masklet.pending[frame] = std::move(pending);
}

std::vector<int64_t> MaskletBucket::preflight_order() const {
  std::vector<int64_t> added;
  for (const Masklet& one : masklets_) {
    std::map<int64_t, int64_t> frames;  // by order
    for (const auto& [frame, pending] : one.pending) frames[pending.order] = frame;
    for (const auto& [order, frame] : frames) added.push_back(frame);
  }
  return python_set_order(added);
}

void MaskletBucket::preflight(const TrackContext& context) {
  std::vector<std::pair<int64_t, FrameOutput>> made;
  for (const int64_t frame : preflight_order()) {
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
  for (Masklet& one : masklets_) one.pending.clear();
}

BucketFrame MaskletBucket::on_frame(const TrackContext& context, int64_t frame) const {
  const FrameOutput output = consolidated(context, frame);
  BucketFrame out{ids_, output.masks, output.object_logits.flatten(), {}};
  for (const Masklet& one : masklets_) {
    const auto found = one.pending.find(frame);
    out.given.push_back(found == one.pending.end() ? at::Tensor() : found->second.given);
  }
  return out;
}

}  // namespace sam3
