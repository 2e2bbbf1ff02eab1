// What a bounded history may let go of: MemoryBank::prune().
#include <ATen/Functions.h>

#include <algorithm>
#include <cmath>
#include <functional>

#include "video/tracker/memory_bank.h"

namespace sam3 {
namespace {

// What cal_mem_score of any of the objects is made of.
ScoredFrame scored_frame(int64_t frame, const FrameOutput& output) {
  const int64_t objects = output.object_logits.size(0);
  const float* logits = output.object_logits.const_data_ptr<float>();
  const float* iou = output.iou.const_data_ptr<float>();
  ScoredFrame out{frame, {}, {}, {}};
  for (int64_t i = 0; i < objects; i++) {
    const float present = logits[i] > 0 ? 2.0f / (1.0f + std::exp(-logits[i])) - 1.0f : 0.0f;
    const bool product_of_means = output.iou.dim() == 1;
    out.present.push_back(product_of_means ? present : present * iou[i]);
    out.iou.push_back(product_of_means ? iou[i] : 1.0f);
  }
  return out;
}

// Those conditioning frames up to `frame` that can be chosen as such, or as neighbours. `prompted`: the latest first.
void keep_conditioning(const std::vector<int64_t>& prompted, int64_t frame, const TrackerOptions& options,
                       int64_t memory_frames, std::set<int64_t>& kept) {
  const int64_t most = options.max_cond_frames_in_attn;
  // With these two settings more than `most` can be chosen (see select_closest_cond_frames).
  const bool all = most < 0 || (options.keep_first_cond_frame && most == 2);
  // Without memory selection, conditioning frames that were not chosen are attended to like tracked ones.
  const int64_t window = options.use_memory_selection ? 0 : std::max(options.max_obj_ptrs_in_encoder, memory_frames);
  int64_t older = 0;
  for (const int64_t t : prompted) {
    if (all || t > frame - window || t == frame || older < most) kept.insert(t);
    if (t < frame) older++;  // the prompts of `frame` may still be taken back
  }
  if (options.keep_first_cond_frame && !prompted.empty()) kept.insert(prompted.back());
}

}  // namespace

KeptFrames MemoryBank::needed_from(int64_t frame, const std::vector<std::set<int64_t>>& prompted,
                                   const TrackerOptions& options, int64_t memory_frames, int64_t num_frames) const {
  KeptFrames kept;
  // Any objects that are left have those prompted frames that are the latest of one of them.
  std::vector<int64_t> conditioning;
  for (const auto& [t, output] : conditioning_)
    if (t <= frame) conditioning.push_back(t);
  std::sort(conditioning.begin(), conditioning.end(), std::greater<>());
  keep_conditioning(conditioning, frame, options, memory_frames, kept.features);
  for (const std::set<int64_t>& of_object : prompted) {
    std::vector<int64_t> own;
    std::copy_if(conditioning.begin(), conditioning.end(), std::back_inserter(own),
                 [&](int64_t t) { return of_object.count(t); });
    keep_conditioning(own, frame, options, memory_frames, kept.features);
  }

  const int64_t window = options.max_obj_ptrs_in_encoder;
  if (!options.use_memory_selection) {
    for (const auto& [t, output] : tracked_) {
      if (t > frame) break;
      if (t > frame - memory_frames) kept.features.insert(t);
      if (t > frame - window) kept.pointers.insert(t);
    }
    return kept;
  }
  // The frame may be tracked again, or the next one is. Their neighbours are always looked at, frame 0 only as such.
  for (const int64_t t : {frame, frame - 1}) kept.features.insert(t);
  const int64_t most = std::max<int64_t>((num_frames < 0 ? window : std::min(num_frames, window)) - 1, 1);
  int64_t surely = 0;
  for (auto it = scores_.upper_bound(frame); it != scores_.begin() && surely < most;) {
    const auto [t, score] = *--it;
    if (t <= 0) break;
    if (score > options.mf_threshold * (1 - kScoreDoubt))
      (surely < memory_frames - 1 ? kept.features : kept.pointers).insert(t);
    if (score > options.mf_threshold * (1 + kScoreDoubt) && t < frame) surely++;
  }
  if (prompted.size() == 1) return kept;

  // When objects are removed all frames get new scores, also those that lose their last prompt by that.
  std::map<int64_t, ScoredFrame, std::greater<>> others;  // latest first
  for (const auto& [t, output] : tracked_)
    if (t > 0 && t <= frame) others[t] = scored_frame(t, output);
  for (const auto& [t, output] : conditioning_) {
    if (t <= 0 || t > frame) continue;
    ScoredFrame& one = others[t] = scored_frame(t, output);
    for (const std::set<int64_t>& of_object : prompted) one.prompted.push_back(of_object.count(t));
  }
  std::vector<ScoredFrame> frames;
  for (auto& [t, one] : others) frames.push_back(std::move(one));
  KeptFrames some = frames_for_remaining(frames, prompted.size(), frame, most, memory_frames - 1, options.mf_threshold);
  kept.features.merge(some.features);
  kept.pointers.merge(some.pointers);
  return kept;
}

std::vector<int64_t> MemoryBank::prune(int64_t frame, const std::vector<std::set<int64_t>>& prompted,
                                       const TrackerOptions& options, int64_t memory_frames, int64_t num_frames) {
  const KeptFrames kept = needed_from(frame, prompted, options, memory_frames, num_frames);
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
