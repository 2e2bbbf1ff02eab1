// What a bounded history may let go of: MemoryBank::prune().
#include <ATen/Functions.h>

#include <algorithm>
#include <cmath>
#include <functional>

#include "video/memory_bank.h"

namespace sam3 {
namespace {

// Scores are computed here without ATen; one within this much of the threshold counts on both sides of it.
constexpr float kDoubt = 1e-4f;
constexpr size_t kAllSubsetsUpTo = 8;

// Sets of objects that may be left when some are removed.
std::vector<std::vector<int64_t>> possible_remainders(size_t objects) {
  std::vector<std::vector<int64_t>> out;
  if (objects <= kAllSubsetsUpTo) {
    for (uint64_t bits = 1; bits < uint64_t{1} << objects; bits++) {
      out.emplace_back();
      for (size_t i = 0; i < objects; i++)
        if (bits >> i & 1) out.back().push_back(static_cast<int64_t>(i));
    }
    return out;
  }
  std::vector<int64_t> all(objects);
  for (size_t i = 0; i < objects; i++) all[i] = static_cast<int64_t>(i);
  out.push_back(all);
  for (size_t i = 0; i < objects; i++) {
    out.push_back({static_cast<int64_t>(i)});
    out.push_back(all);
    out.back().erase(out.back().begin() + static_cast<int64_t>(i));
  }
  return out;
}

// cal_mem_score of some of the objects.
float score_of(const FrameOutput& output, const std::vector<int64_t>& objects) {
  const float* logits = output.object_logits.const_data_ptr<float>();
  const float* iou = output.iou.const_data_ptr<float>();
  float products = 0, present = 0, ious = 0;
  for (const int64_t i : objects) {
    const float p = logits[i] > 0 ? 2.0f / (1.0f + std::exp(-logits[i])) - 1.0f : 0.0f;
    products += p * iou[i];
    present += p;
    ious += iou[i];
  }
  const auto n = static_cast<float>(objects.size());
  return output.iou.dim() == 1 ? present / n * (ious / n) : products / n;
}

}  // namespace

// Frames that are kept, and whether with their memory features or for the pointers only.
struct MemoryBank::Kept {
  std::set<int64_t> features, pointers;
};

MemoryBank::Kept MemoryBank::kept_for(const std::vector<int64_t>& objects, int64_t frame,
                                      const std::vector<std::set<int64_t>>& prompted, const TrackerOptions& options,
                                      int64_t memory_frames, int64_t num_frames) const {
  Kept kept;
  const bool all = objects.size() == prompted.size();
  const int64_t window = options.max_obj_ptrs_in_encoder;
  std::vector<int64_t> past;                                     // conditioning frames of these objects
  std::map<int64_t, const FrameOutput*, std::greater<>> others;  // tracked, or what would become so; latest first
  for (const auto& [t, output] : conditioning_) {
    if (t > frame) continue;
    const bool ours =
        std::any_of(objects.begin(), objects.end(), [&, t = t](int64_t o) { return prompted[o].count(t); });
    if (ours)
      past.push_back(t);
    else
      others[t] = &output;
  }
  const bool future = std::any_of(conditioning_.begin(), conditioning_.end(), [&](const auto& entry) {
    return entry.first > frame &&
           std::any_of(objects.begin(), objects.end(), [&](int64_t o) { return prompted[o].count(entry.first); });
  });
  if (past.empty() && !future) return kept;  // without prompts the bucket forgets everything
  for (const auto& [t, output] : tracked_)
    if (t <= frame) others[t] = &output;

  std::sort(past.begin(), past.end(), std::greater<>());
  for (size_t i = 0; i < past.size(); i++) {
    const bool near = options.max_cond_frames_in_attn < 0 || static_cast<int64_t>(i) < options.max_cond_frames_in_attn;
    const bool first = options.keep_first_cond_frame && i + 1 == past.size();
    // Without memory selection, conditioning frames that were not chosen are attended to like tracked ones.
    const bool recent = !options.use_memory_selection && past[i] > frame - window;
    if (near || first || recent) kept.features.insert(past[i]);
  }

  if (!options.use_memory_selection) {
    for (const auto& [t, output] : others) {
      if (t > frame - memory_frames) kept.features.insert(t);
      if (t > frame - window) kept.pointers.insert(t);
    }
    return kept;
  }
  const int64_t most = (num_frames < 0 ? window : std::min(num_frames, window)) - 1;
  for (const int64_t next : {frame, frame + 1}) {  // the frame may be tracked again
    int64_t surely = 0;
    for (const auto& [t, output] : others) {
      if (t >= next) continue;
      const bool adjacent = t == next - 1;  // the only way in which frame 0 is looked at
      if ((t <= 0 && !adjacent) || surely >= most) break;
      // Scores are made when objects are removed, also for frames that have none now.
      const bool scored = !all || output->score.has_value();
      const float score = all ? output->score.value_or(0) : score_of(*output, objects);
      const bool maybe = scored && score > options.mf_threshold * (1 - kDoubt);
      if (maybe || adjacent) (surely < memory_frames - 1 ? kept.features : kept.pointers).insert(t);
      if (scored && score > options.mf_threshold * (1 + kDoubt)) surely++;
    }
  }
  return kept;
}

std::vector<int64_t> MemoryBank::prune(int64_t frame, const std::vector<std::set<int64_t>>& prompted,
                                       const TrackerOptions& options, int64_t memory_frames, int64_t num_frames) {
  Kept kept;
  for (const auto& objects : possible_remainders(prompted.size())) {
    Kept some = kept_for(objects, frame, prompted, options, memory_frames, num_frames);
    kept.features.merge(some.features);
    kept.pointers.merge(some.pointers);
  }
  const auto let_go = [&](int64_t t, FrameOutput& output) {
    if (!kept.features.count(t)) output.memory.reset();
    if (t < frame) output.masks.reset();  // a correction needs those of the newest frame, at most
  };
  std::vector<int64_t> gone;
  for (auto it = tracked_.begin(); it != tracked_.end() && it->first <= frame;) {
    const int64_t t = (it++)->first;
    if (kept.features.count(t) || kept.pointers.count(t))
      let_go(t, tracked_[t]);
    else
      erase_tracked(t);
  }
  for (auto it = conditioning_.begin(); it != conditioning_.end();) {
    const int64_t t = it->first;
    if (t > frame || kept.features.count(t) || kept.pointers.count(t)) {
      if (t <= frame) let_go(t, it->second);
      ++it;
      continue;
    }
    forgot_.resize(prompted.size());
    for (size_t o = 0; o < prompted.size(); o++)
      if (prompted[o].count(t)) forgot_[o] = true;
    gone.push_back(t);
    it = conditioning_.erase(it);
  }
  return gone;
}

}  // namespace sam3
