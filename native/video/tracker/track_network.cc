#include "video/tracker/track_network.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <map>

#include "core/error.h"
#include "core/host_values.h"
#include "network/in_parts.h"
#include "network/planned_attention.h"

namespace sam3 {

namespace {

// Whether both look equally far back: then the same positions serve both.
bool same_distances(const MemoryView& a, const MemoryView& b) {
  const auto equal = [](const auto& x, const auto& y) { return x.distance == y.distance; };
  return std::equal(a.frames.begin(), a.frames.end(), b.frames.begin(), b.frames.end(), equal) &&
         std::equal(a.pointers.begin(), a.pointers.end(), b.pointers.begin(), b.pointers.end(), equal);
}

}  // namespace

struct TrackNetwork::Piece {
  const MemoryView* view;
  int64_t begin, count;  // objects
};

const Program::TrackerConstants& TrackNetwork::constants() {
  if (!constants_.no_memory.defined()) {
    auto made = model_.program().tracker_constants(model_.grid());
    const at::Tensor space = made.memory_position.flatten(2).transpose(1, 2);       // [1,G*G,D]
    frame_positions_ = (space + made.temporal_position.unsqueeze(1)).contiguous();  // [7,G*G,D]
    constants_ = std::move(made);
  }
  return constants_;
}

int64_t TrackNetwork::memory_frames() {
  return constants().temporal_position.size(0);
}

at::Tensor TrackNetwork::no_pointer() {
  return constants().no_pointer;
}

at::Tensor TrackNetwork::attend(const Program::Levels& image, const std::vector<MemoryView>& views,
                                int64_t most_pointers) {
  const StageTimer timer(clock_, &StageTimes::attend);
  constants();
  // By frames and pointers. Not padded into one batch: a mask keeps attention from being one flash kernel, and at the
  // true size three frames of padding take as long as all launches of a group do (predicted for an H100: 0.16 ms each).
  std::map<std::pair<size_t, size_t>, std::vector<size_t>> groups;
  std::vector<int64_t> first;  // row of each view in the result
  int64_t total = 0;
  for (size_t i = 0; i < views.size(); i++) {
    groups[{views[i].frames.size(), views[i].pointers.size()}].push_back(i);
    first.push_back(total);
    total += views[i].objects;
  }
  at::Tensor out;
  for (const auto& [size, members] : groups) {
    std::vector<std::pair<size_t, int64_t>> objects;  // view and row
    for (const size_t member : members)
      for (int64_t row = 0; row < views[member].objects; row++) objects.emplace_back(member, row);
    const auto& a = model_.program().architecture();
    const int64_t cells = image.coarse.size(2) * image.coarse.size(3);
    const int64_t tokens = static_cast<int64_t>(size.first) * cells;
    // Keys in float32 and turned, values, memory and positions; queries and the feed-forward layer (8 times as wide).
    const int64_t floats = tokens * (5 * a.hidden_size + 2 * a.memory_size) + cells * 16 * a.hidden_size;
    in_parts(static_cast<int64_t>(objects.size()), objects_per_batch(floats), image.coarse.device(),
             [&](int64_t begin, int64_t count) {
               std::vector<Piece> pieces;
               for (int64_t i = begin; i < begin + count; i++) {
                 const auto& [member, row] = objects[i];
                 if (!pieces.empty() && pieces.back().view == &views[member])
                   pieces.back().count++;
                 else
                   pieces.push_back({&views[member], row, 1});
               }
               const at::Tensor part = attend_batch(image, pieces, most_pointers);
               if (part.size(0) == total) {
                 out = part;
                 return;
               }
               if (!out.defined()) out = at::empty({total, part.size(1), part.size(2), part.size(3)}, part.options());
               int64_t row = 0;
               for (const Piece& piece : pieces) {
                 const int64_t target = first[static_cast<size_t>(piece.view - views.data())] + piece.begin;
                 out.narrow(0, target, piece.count).copy_(part.narrow(0, row, piece.count));
                 row += piece.count;
               }
             });
  }
  return out;
}

at::Tensor TrackNetwork::attend_batch(const Program::Levels& image, const std::vector<Piece>& pieces,
                                      int64_t most_pointers) {
  return translate(ERR_INFERENCE, "Attending to memory", [&] {
    int64_t objects = 0;
    for (const Piece& piece : pieces) objects += piece.count;
    const auto frames = static_cast<int64_t>(pieces[0].view->frames.size());
    const auto pointers = static_cast<int64_t>(pieces[0].view->pointers.size());
    if (frames == 0) return without_memory(image).expand({objects, -1, -1, -1});

    const auto options = image.coarse.options();
    const int64_t cells = frame_positions_.size(1), depth = frame_positions_.size(2);
    const int64_t split = image.coarse.size(1) / depth, length = frames * cells + pointers * split;
    const auto here = [&](const at::Tensor& t) { return t.to(options.device(), options.dtype()); };
    auto memory = at::empty({objects, length, depth}, options);
    std::vector<const MemoryView*> places;  // those with different positions
    std::vector<int64_t> place;             // of each object
    int64_t row = 0;
    for (const auto& [view, begin, count] : pieces) {
      // Frames and pointers of one view are copied together: one kernel on a GPU.
      std::vector<at::Tensor> parts;
      for (const auto& frame : view->frames) parts.push_back(here(frame.memory.narrow(0, begin, count)));
      for (const auto& pointer : view->pointers)
        parts.push_back(here(pointer.pointers.narrow(0, begin, count).view({count, split, depth})));
      at::Tensor rows = memory.narrow(0, row, count);
      at::cat_out(rows, parts, 1);
      const auto found = std::find_if(places.begin(), places.end(),
                                      [other = view](const auto* known) { return same_distances(*known, *other); });
      place.insert(place.end(), count, found - places.begin());
      if (found == places.end()) places.push_back(view);
      row += count;
    }

    std::vector<float> distances;
    for (const MemoryView* view : places)
      for (const auto& pointer : view->pointers)
        distances.push_back(static_cast<float>(pointer.distance) /
                            static_cast<float>(std::max<int64_t>(1, most_pointers - 1)));
    const auto stacked = static_cast<int64_t>(places.size());
    at::Tensor times;  // [places,pointers * split,D]: each pointer is `split` tokens
    if (pointers)
      times = here(model_.program()
                       .pointer_position(to_device(at::tensor(distances, at::kFloat)))
                       .unsqueeze(1)
                       .expand({-1, split, -1})
                       .reshape({stacked, pointers * split, depth}));
    std::vector<at::Tensor> tokens;
    for (int64_t p = 0; p < stacked; p++) {
      for (const auto& frame : places[static_cast<size_t>(p)]->frames) {
        // Conditioning frames have the last place in time, whatever their distance.
        const int64_t time = (frame.distance == 0 ? frame_positions_.size(0) : frame.distance) - 1;
        tokens.push_back(frame_positions_[time]);
      }
      if (pointers) tokens.push_back(times[p]);
    }
    at::Tensor position = here(at::cat(tokens)).view({stacked, length, depth});
    // One frame for all objects, and mostly one set of positions: the network computes once what follows from them.
    if (places.size() > 1) position = position.index_select(0, index_tensor(place, position.device()));
    // A memory that is full stays so, with as many tokens in every frame.
    const bool full = frames >= frame_positions_.size(0) && pointers >= most_pointers;
    const PlannedAttention planned(options.device(), full);
    return model_.program().memory_attend(image.coarse, memory, position, pointers * split);
  });
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

at::Tensor TrackNetwork::encode_memory(const Program::Levels& image, const MaskSource& masks,
                                       const at::Tensor& object_logits) {
  const StageTimer timer(clock_, &StageTimes::memory);
  const int64_t side = 16 * model_.grid(), total = object_logits.size(0);
  std::vector<at::Tensor> parts;
  // The mask, its copies in the encoder and the features made of it: about ten times the mask.
  in_parts(total, objects_per_batch(10 * side * side), image.coarse.device(), [&](int64_t begin, int64_t count) {
    translate(ERR_INFERENCE, "Encoding memory", [&] {
      at::Tensor mask = masks(begin, count).unsqueeze(1);
      if (mask.size(2) != side) mask = at::_upsample_bilinear2d_aa(mask, {side, side}, /*align_corners=*/false);
      const at::Tensor memory = model_.program().memory_encode(image.coarse, mask.to(image.coarse.scalar_type()),
                                                               to_device(object_logits.narrow(0, begin, count)));
      parts.push_back(memory.flatten(2).transpose(1, 2).contiguous());
    });
  });
  return parts.size() == 1 ? parts[0] : at::cat(parts);
}

}  // namespace sam3
