#include "video/tracker/multiplex_network.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "core/error.h"
#include "core/host_values.h"
#include "network/in_parts.h"

namespace sam3 {

int64_t MultiplexNetwork::layers() {
  if (layers_ == 0) {
    const auto& target = model_.program().target();
    const auto options = at::TensorOptions().dtype(target.dtype).device(target.device);
    layers_ = project_pointers(at::zeros({1, 1, model_.program().architecture().hidden_size}, options)).keys.size(0);
  }
  return layers_;
}

Program::Projection MultiplexNetwork::project_frame(const at::Tensor& memory, const at::Tensor& image) {
  return model_.program().project_frame(to_device(memory), to_device(image));
}

Program::Projection MultiplexNetwork::project_pointers(const at::Tensor& pointers) {
  return model_.program().project_pointers(to_device(pointers));
}

at::Tensor MultiplexNetwork::attend(const Program::Levels& image, const MultiplexView& view) {
  const StageTimer timer(clock_, &StageTimes::attend);
  if (view.frames.empty()) return image.coarse.expand({view.buckets, -1, -1, -1});
  return translate(ERR_INFERENCE, "Attending to memory", [&] {
    if (!frame_positions_.defined()) frame_positions_ = model_.program().frame_positions(model_.grid());
    std::vector<at::Tensor> keys, values, positions;
    for (const auto& frame : view.frames) {
      keys.push_back(frame.projection.keys);
      values.push_back(frame.projection.values);
      positions.push_back(frame_positions_[frame.row]);
    }
    if (!view.pointers.empty()) {
      std::vector<float> offsets;
      for (const auto& pointers : view.pointers) {
        keys.push_back(pointers.projection.keys);
        values.push_back(pointers.projection.values);
        offsets.push_back(static_cast<float>(pointers.offset) /
                          static_cast<float>(std::max<int64_t>(1, view.most_pointers - 1)));
      }
      const at::Tensor times = model_.program().pointer_position(to_device(at::tensor(offsets, at::kFloat)));
      positions.push_back(times.unsqueeze(1).expand({-1, slots(), -1}).flatten(0, 1));  // one for all slots
    }
    const at::Tensor position = at::cat(positions).unsqueeze(0);
    const auto& a = model_.program().architecture();
    const int64_t cells = image.coarse.size(2) * image.coarse.size(3), layers = keys[0].size(0);
    // Keys and values of all layers, and of one with positions; queries and the feed-forward layer.
    const int64_t floats = a.hidden_size * (position.size(1) * (2 * layers + 4) + cells * 16);
    std::vector<at::Tensor> parts;
    in_parts(view.buckets, objects_per_batch(floats), image.coarse.device(), [&](int64_t begin, int64_t count) {
      const auto joined = [&](const std::vector<at::Tensor>& of) {
        std::vector<at::Tensor> some;
        for (const at::Tensor& one : of) some.push_back(one.narrow(1, begin, count));
        return at::cat(some, 2);
      };
      translate(ERR_INFERENCE, "Attending to memory", [&] {
        parts.push_back(model_.program().memory_attend_mux(image.coarse, {joined(keys), joined(values)}, position));
      });
    });
    return parts.size() == 1 ? parts[0] : at::cat(parts);
  });
}

MultiplexNetwork::Tracked MultiplexNetwork::decode(const Program::Levels& image, const at::Tensor& features,
                                                   const SlotAssignment& slots) {
  const StageTimer timer(clock_, &StageTimes::decode);
  return translate(ERR_INFERENCE, "Decoding masks", [&] {
    const int64_t buckets = slots.buckets(), per_bucket = slots.slots();
    const auto places = slots.places();
    at::Tensor valid = at::zeros({buckets * per_bucket}, at::kBool);
    for (const int64_t place : places) valid[place] = true;
    const auto sent = upload({valid.view({buckets, per_bucket}), index_tensor(places)}, features.device());
    std::vector<at::Tensor> masks, pointers, logits;  // of all slots, but masks of the objects only
    int64_t next = 0;                                 // object
    // Masks of all slots and what they are made of: about as much as six objects of SAM 3 have.
    const int64_t step = std::max<int64_t>(1, model_.pairs_per_batch() / 6);
    in_parts(buckets, step, features.device(), [&](int64_t begin, int64_t count) {
      translate(ERR_INFERENCE, "Decoding masks", [&] {
        const at::Tensor there = sent[0].narrow(0, begin, count);
        const auto out = model_.program().track_decode_mux(image, features.narrow(0, begin, count), there);
        const at::Tensor object = out.object.to(at::kFloat), best = out.iou.to(at::kFloat).argmax(2);
        const at::Tensor token =
            out.tokens.gather(2, best.view({count, per_bucket, 1, 1}).expand({-1, -1, 1, out.tokens.size(3)}));
        const at::Tensor pointer = model_.program().pointer_track(token.squeeze(2), out.object);
        int64_t objects = 0;
        for (const int64_t place : places)
          objects += place >= begin * per_bucket && place < (begin + count) * per_bucket;
        const at::Tensor rows = sent[1].narrow(0, next, objects) - begin * per_bucket;
        const at::Tensor chosen = out.masks.flatten(0, 1).index({rows, best.flatten().index_select(0, rows)});
        const at::Tensor present = object.flatten(0, 1).index_select(0, rows);
        masks.push_back(at::where((present > 0).unsqueeze(-1), chosen.to(at::kFloat), kAbsent));
        logits.push_back(present);
        pointers.push_back(at::where(there.unsqueeze(-1), pointer, at::zeros_like(pointer)));
        next += objects;
      });
    });
    return Tracked{at::cat(masks), at::cat(pointers), at::cat(logits)};
  });
}

at::Tensor MultiplexNetwork::encode_memory(const Program::Levels& image, const MaskSource& masks,
                                           const at::Tensor& object_logits, const SlotAssignment& slots,
                                           const std::set<int64_t>& conditioning) {
  const StageTimer timer(clock_, &StageTimes::memory);
  const int64_t side = 16 * model_.grid(), per_bucket = slots.slots(), buckets = slots.buckets();
  const auto places = slots.places();
  at::Tensor known = at::zeros({buckets * per_bucket}, at::kFloat);  // conditioning, by slot
  for (const int64_t object : conditioning) known[places[object]] = 1.0f;
  const auto device = image.coarse.device();
  const auto sent = upload({known.view({buckets, per_bucket}), index_tensor(places)}, device);
  const at::Tensor logits = at::zeros({buckets * per_bucket, 1}, sent[0].options())
                                .index_copy_(0, sent[1], to_device(object_logits).to(at::kFloat))
                                .view({buckets, per_bucket, 1});
  std::vector<at::Tensor> parts;
  // The masks, and what the encoder's first convolutions make of them: as large once more.
  in_parts(buckets, objects_per_batch(5 * per_bucket * side * side), device, [&](int64_t begin, int64_t count) {
    translate(ERR_INFERENCE, "Encoding memory", [&] {
      at::Tensor input = at::zeros({count, 2 * per_bucket, side, side}, image.coarse.options());
      for (int64_t b = 0; b < count; b++) {
        const int64_t low = (begin + b) * per_bucket, high = low + per_bucket;
        const int64_t first =
            std::find_if(places.begin(), places.end(), [&](int64_t p) { return p >= low && p < high; }) -
            places.begin();
        const auto objects =
            std::count_if(places.begin(), places.end(), [&](int64_t p) { return p >= low && p < high; });
        at::Tensor shown = masks(first, objects).sigmoid() * 2 - 1;
        if (shown.size(1) != side)
          shown = at::_upsample_bilinear2d_aa(shown.unsqueeze(1), {side, side}, /*align_corners=*/false).squeeze(1);
        input[b].index_copy_(0, sent[1].narrow(0, first, objects) - low, shown.to(input.scalar_type()));
        const at::Tensor given = sent[0][begin + b].to(input.scalar_type());
        input[b].narrow(0, per_bucket, per_bucket).copy_(given.view({-1, 1, 1}).expand({-1, side, side}));
      }
      parts.push_back(model_.program().memory_encode_mux(image.coarse, input, logits.narrow(0, begin, count)));
    });
  });
  return parts.size() == 1 ? parts[0] : at::cat(parts);
}

}  // namespace sam3
