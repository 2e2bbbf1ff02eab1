#include "video/tracker/memory_view.h"

#include <algorithm>

namespace sam3 {

int64_t most_pointers(const TrackerOptions& options, int64_t num_frames) {
  return num_frames < 0 ? options.max_obj_ptrs_in_encoder : std::min(num_frames, options.max_obj_ptrs_in_encoder);
}

MemoryView memory_view(const MemoryBank& bank, int64_t frame, bool reverse, const TrackerOptions& options,
                       int64_t memory_frames, int64_t num_frames, std::optional<int64_t> object) {
  MemoryView view;
  const auto of_object = [&](const at::Tensor& tensor) { return object ? tensor.narrow(0, *object, 1) : tensor; };
  const auto add_frame = [&](const FrameOutput* output, int64_t distance) {
    if (!output || !output->memory.defined()) return;
    view.frames.push_back({of_object(output->memory), distance});
    view.objects = view.frames.back().memory.size(0);
  };
  const int64_t sign = reverse ? -1 : 1;
  const auto choice = select_closest_cond_frames(frame, bank.conditioning_frames(), options.max_cond_frames_in_attn,
                                                 options.keep_first_cond_frame, bank.exceeds());
  // Tracked frames, and conditioning frames that were not chosen.
  const auto find = [&](int64_t t) -> const FrameOutput* {
    if (const FrameOutput* output = object ? bank.tracked_for_objects(t) : bank.tracked(t)) return output;
    const auto& rest = choice.unselected;
    return std::find(rest.begin(), rest.end(), t) == rest.end() ? nullptr : bank.conditioning(t);
  };

  // Slices of single objects have no scores, so that only the adjacent frame is found.
  const FrameScores none;
  std::vector<int64_t> valid;
  if (options.use_memory_selection)
    valid = frame_filter(frame, object ? none : bank.scores(), reverse, num_frames, options.max_obj_ptrs_in_encoder,
                         options.mf_threshold);
  const auto count = static_cast<int64_t>(valid.size());

  for (const int64_t t : choice.selected) add_frame(bank.conditioning(t), 0);
  for (int64_t distance = memory_frames - 1; distance > 0; distance--) {
    if (!options.use_memory_selection)
      add_frame(find(frame - sign * distance), distance);
    else if (distance <= count)
      add_frame(find(valid[count - distance]), distance);
  }

  const auto add_pointer = [&](const FrameOutput* output, int64_t distance) {
    if (output) view.pointers.push_back({of_object(output->pointers), distance});
  };
  for (const int64_t t : choice.selected)
    if (reverse ? t >= frame : t <= frame) add_pointer(bank.conditioning(t), (frame - t) * sign);
  for (int64_t distance = 1; distance < most_pointers(options, num_frames); distance++) {
    if (!options.use_memory_selection) {
      const int64_t t = frame - sign * distance;
      if (t < 0 || (num_frames >= 0 && t >= num_frames)) break;
      add_pointer(find(t), distance);
    } else {
      if (distance >= count) break;  // the farthest one is left out, as in the reference
      add_pointer(find(valid[count - distance]), distance);
    }
  }
  return view;
}

}  // namespace sam3
