#include "video/tracker/multiplex_state.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "core/error.h"
#include "core/host_values.h"
#include "masks/mask_overlap.h"
#include "video/tracker/multiplex_memory.h"

namespace sam3 {
namespace {

at::Tensor by_way_of_video(const at::Tensor& low, int64_t height, int64_t width) {
  const at::Tensor full = at::upsample_bilinear2d(low.unsqueeze(0).unsqueeze(0), {height, width}, false);
  return at::_upsample_bilinear2d_aa(full, {low.size(0), low.size(1)}, /*align_corners=*/false)[0][0];
}

}  // namespace

void MultiplexState::add_to_slots(int64_t id) {
  if (contains(id)) return;
  slots_.add({id});
  book_.add(id);
}

void MultiplexState::add_points(const MultiplexContext& context, int64_t frame, int64_t id, const ClickPrompt& input) {
  auto points = book_.merged_points(frame, id, input, context.model.input_size(), context.options);
  const Program::Levels image = context.frames.tracker(frame);
  const auto decoded = context.network.decode_points(image, context.network.without_memory(image), points, {});
  const auto scores = to_floats(at::cat({decoded.object_logits.flatten(), decoded.iou}));
  add_to_slots(id);
  book_.set_points(frame, id, std::move(points), {decoded.masks[0], {}, decoded.pointers, scores[0], scores[1]});
  conditions_.insert(frame);
}

void MultiplexState::add_masks(const MultiplexContext& context, int64_t frame, const std::vector<int64_t>& ids,
                               const MaskPrompts& masks, bool conditions) {
  const at::Tensor pointers = context.network.pointers_of_masks(context.frames.tracker(frame), masks.inputs);
  const auto there = to_floats(masks.inputs.flatten(1).gt(0).any(1));
  for (const int64_t id : ids) add_to_slots(id);
  // What several masks of a call have in common belongs to none of them.
  const at::Tensor given = masks.given.logical_and(masks.given.sum(0).eq(1));
  book_.set_masks(frame, ids, given, pointers, there);
  if (conditions || !bank_.has_conditioning()) conditions_.insert(frame);
}

void MultiplexState::clear_inputs(int64_t frame, int64_t id) {
  clear_inputs(frame, id, /*keep_last=*/false);
}

void MultiplexState::clear_inputs(int64_t frame, int64_t id, bool keep_last) {
  book_.erase(frame, id);
  if (book_.prompted(frame)) return;
  conditions_.erase(frame);
  if (!bank_.conditioning(frame) || (keep_last && bank_.conditioning_frames().size() == 1)) return;
  bank_.downgrade(frame);
  if (!bank_.has_conditioning()) bank_.clear();
}

void MultiplexState::forget_masks(int64_t but_on) {
  for (const int64_t id : ids())
    for (const int64_t frame : book_.mask_frames(id))
      if (frame != but_on) book_.erase(frame, id);
}

bool MultiplexState::stands(int64_t frame) const {
  return bank_.conditioning(frame) && (book_.prompted(frame) || bank_.conditioning_frames().size() == 1);
}

void MultiplexState::remove(const std::vector<int64_t>& ids) {
  std::vector<int64_t> left, gone;
  for (size_t i = 0; i < book_.ids().size(); i++)
    (std::find(ids.begin(), ids.end(), book_.ids()[i]) == ids.end() ? left : gone).push_back(static_cast<int64_t>(i));
  if (gone.empty()) return;
  const auto prompted = book_.prompted_frames();
  for (const int64_t i : gone)
    for (const int64_t frame : prompted[i]) clear_inputs(frame, book_.ids()[i], keep_last_);
  book_.select(left);
  const int64_t buckets = slots_.buckets();
  const auto kept = slots_.remove(ids);
  if (static_cast<int64_t>(kept.size()) < buckets) bank_.select_buckets(kept);
}

MultiplexState MultiplexState::extract(int64_t id) {
  MultiplexState out = *this;
  out.slots_ = SlotAssignment(slots_.slots(), {id});
  out.bank_ = bank_.extracted(id, slots_.places()[book_.index_of(id)]);
  out.book_.select({static_cast<int64_t>(book_.index_of(id))});
  remove({id});
  return out;
}

SlotOutput MultiplexState::consolidated(const MultiplexContext& context, int64_t frame, bool settles) const {
  const int64_t side = context.model.mask_side();
  const Target& target = context.model.program().target();
  const SlotOutput* known = bank_.find(frame);
  SlotOutput output;
  output.ids = ids();
  if (known) {
    output.pointers = known->pointers.to(target.device, /*non_blocking=*/false, /*copy=*/true);
    output.conditioning = known->conditioning;
    output.memory = known->memory;
    output.image = known->image;
  } else {
    const auto options = at::TensorOptions().dtype(target.dtype).device(target.device);
    const int64_t channels = context.model.program().architecture().hidden_size;
    output.pointers = at::zeros({slots_.buckets(), slots_.slots(), channels}, options);
  }
  const auto places = slots_.places();
  std::vector<at::Tensor> masks;
  std::vector<float> logits;
  for (size_t i = 0; i < ids().size(); i++) {
    if (const auto* pending = book_.pending(i, frame)) {
      const at::Tensor mask = pending->mask(side);
      masks.push_back(settles && pending->logits.defined() ? by_way_of_video(mask, context.height, context.width)
                                                           : mask);
      logits.push_back(pending->object_logit);
      output.pointers.view({-1, output.pointers.size(2)})[places[i]].copy_(pending->pointer[0]);
      output.conditioning.insert(ids()[i]);
      continue;
    }
    const SlotOutput& from = known ? *known : SlotOutput{};
    if (from.row_of(ids()[i]) >= 0 && from.masks.defined()) {
      masks.push_back(from.masks_of({ids()[i]})[0].to(target.device));
      logits.push_back(from.logits_of({ids()[i]}).item<float>());
    } else {
      masks.push_back(at::full({side, side}, kAbsent, at::TensorOptions(at::kFloat).device(target.device)));
      logits.push_back(-10.0f);
    }
  }
  output.masks = at::stack(masks);
  output.object_logits = at::tensor(logits, at::kFloat).view({-1, 1});
  return output;
}

at::Tensor MultiplexState::prompted_memory(const MultiplexContext& context, const Program::Levels& image,
                                           const SlotOutput& output) const {
  const int64_t size = context.model.input_size(), total = output.masks.size(0);
  const auto high = [&](int64_t begin, int64_t count) {
    return at::upsample_bilinear2d(output.masks.narrow(0, begin, count).unsqueeze(1), {size, size}, false).squeeze(1);
  };
  const at::Tensor strongest = strongest_object(high, total, context.network.objects_per_batch(10 * size * size));
  std::set<int64_t> conditioning;
  for (const int64_t id : output.conditioning)
    if (const int64_t row = output.row_of(id); row >= 0) conditioning.insert(row);
  return context.network.encode_memory(
      image, [&](int64_t begin, int64_t count) { return without_overlap(high(begin, count), strongest, begin); },
      output.object_logits, slots_, conditioning);
}

void MultiplexState::preflight(const MultiplexContext& context) {
  std::vector<std::pair<int64_t, SlotOutput>> made;
  for (const int64_t frame : book_.preflight_order()) {
    SlotOutput output = consolidated(context, frame, /*settles=*/true);
    // What detections add to a conditioning frame, or correct there, is in its pointers only.
    if (conditions_.contains(frame) || !bank_.conditioning(frame) || !output.memory.defined()) {
      const Program::Levels image = context.frames.propagation(frame);
      output.memory =
          translate(ERR_INFERENCE, "Encoding prompts", [&] { return prompted_memory(context, image, output); });
      output.image = image.coarse;
    }
    made.emplace_back(frame, std::move(output));
  }
  for (auto& [frame, output] : made) bank_.set(frame, std::move(output), conditions_.contains(frame));
  conditions_.clear();
  book_.settle();
}

BucketFrame MultiplexState::on_frame(const MultiplexContext& context, int64_t frame) const {
  const SlotOutput output = consolidated(context, frame, /*settles=*/false);
  BucketFrame out{ids(), output.masks, output.object_logits.flatten(), {}};
  for (size_t i = 0; i < ids().size(); i++) {
    const auto* pending = book_.pending(i, frame);
    out.given.push_back(pending ? pending->given : at::Tensor());
  }
  return out;
}

BucketFrame MultiplexState::stored(int64_t frame) const {
  const SlotOutput& output = *bank_.conditioning(frame);
  return {ids(), output.masks_of(ids()), output.logits_of(ids()).flatten(), {}};
}

MultiplexView MultiplexState::view(const MultiplexContext& context, int64_t frame, bool reverse) const {
  const auto plan = plan_memories(frame, reverse, context.num_frames, bank_.conditioning_frames(),
                                  bank_.tracked_frames(), bank_.exceeds());
  MultiplexNetwork& network = context.network;
  MultiplexView view;
  view.buckets = slots_.buckets();
  view.most_pointers = plan.most_pointers;
  std::set<int64_t> frames, pointers;
  for (const auto& [t, row] : plan.frames) {
    if (!bank_.find(t)->memory.defined()) continue;
    view.frames.push_back(
        {bank_.frame_projection(t, [&](const SlotOutput& of) { return network.project_frame(of.memory, of.image); }),
         row});
    frames.insert(t);
  }
  for (const auto& [t, offset] : plan.pointers) {
    view.pointers.push_back(
        {bank_.pointer_projection(t, [&](const SlotOutput& of) { return network.project_pointers(of.pointers); }),
         offset});
    pointers.insert(t);
  }
  bank_.keep_projections(frames, pointers);
  return view;
}

int64_t MultiplexState::frame_bytes(const MultiplexContext& context, int64_t more) const {
  const Program& program = context.model.program();
  const int64_t cells = context.model.grid() * context.model.grid(), side = context.model.mask_side();
  const int64_t channels = program.architecture().hidden_size, slots = slots_.slots();
  const auto element = static_cast<int64_t>(c10::elementSize(program.target().dtype));
  const int64_t beyond = std::max<int64_t>(0, more - slots_.free());
  const int64_t buckets = slots_.buckets() + (beyond + slots - 1) / slots;
  const int64_t objects = static_cast<int64_t>(ids().size()) + more;
  // Memories and pointers of the buckets, the image, masks and logits.
  return (buckets * (cells + slots) + cells) * channels * element + objects * (side * side * 4 + 4);
}

int64_t MultiplexState::view_growth(const MultiplexContext& context, int64_t frame, bool reverse) const {
  const Program& program = context.model.program();
  if (!program.target().device.is_cpu()) return 0;  // projections stay on the device
  std::vector<int64_t> conditioning = bank_.conditioning_frames();
  for (const int64_t t : conditions_)
    if (!bank_.conditioning(t)) conditioning.push_back(t);
  if (conditioning.empty() || conditions_.contains(frame) || stands(frame)) return 0;  // nothing is attended to
  const auto plan =
      plan_memories(frame, reverse, context.num_frames, conditioning, bank_.tracked_frames(), bank_.exceeds());
  const auto remembered = std::count_if(plan.frames.begin(), plan.frames.end(), [&](const auto& item) {
    return conditions_.contains(item.first) || bank_.find(item.first)->memory.defined();
  });
  const int64_t cells = context.model.grid() * context.model.grid();
  const int64_t tokens =
      static_cast<int64_t>(remembered) * cells + static_cast<int64_t>(plan.pointers.size()) * slots_.slots();
  const auto element = static_cast<int64_t>(c10::elementSize(program.target().dtype));
  const int64_t channels = program.architecture().hidden_size;
  return 2 * context.network.layers() * slots_.buckets() * tokens * channels * element - bank_.projection_bytes();
}

void MultiplexState::store_tracked(int64_t frame, bool, SlotOutput output) {
  bank_.downgrade(frame);
  bank_.set(frame, std::move(output), /*conditions=*/false);
}

void MultiplexState::set_memory(int64_t frame, const at::Tensor& memory, const at::Tensor& image) {
  bank_.set_memory(frame, memory, image);
}

void MultiplexState::prune(const MultiplexContext&, int64_t frame) {
  for (const int64_t gone : bank_.prune(frame)) book_.erase_frame(gone);
}

}  // namespace sam3
