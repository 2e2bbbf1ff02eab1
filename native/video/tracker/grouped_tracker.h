#pragma once
#include <ATen/Functions.h>

#include <algorithm>
#include <cstdlib>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "core/host_values.h"
#include "video/tracker/click_network.h"
#include "video/tracker/object_tracker.h"
#include "video/tracker/track_context.h"

namespace sam3 {

// What the trackers of SAM 3 and SAM 3.1 have in common: objects in buckets, of which each call changes copies, so that
// one that throws leaves the tracker as it was.
template <class Bucket, class Network>
class GroupedTracker : public ObjectTracker {
 public:
  GroupedTracker(ImageModel& model, FrameStore& frames, const TrackerOptions& options, int64_t width, int64_t height,
                 int64_t num_frames)
      : model_(model),
        frames_(frames),
        options_(options),
        network_(model, frames.clock()),
        width_(width),
        height_(height),
        num_frames_(num_frames) {}
  ~GroupedTracker() override { frames_.pin(this, {}); }
  GroupedTracker(const GroupedTracker&) = delete;
  GroupedTracker& operator=(const GroupedTracker&) = delete;

  std::vector<int64_t> object_ids() const override {
    std::vector<int64_t> ids;
    for (const Bucket& bucket : buckets_) ids.insert(ids.end(), bucket.ids().begin(), bucket.ids().end());
    return in_order(std::move(ids));
  }
  std::vector<int64_t> bucket_ids(const std::vector<int64_t>& objects) const override {
    return in_order(ids_of(buckets_of(objects)));
  }

  // On a frame with prompts the bucket's stored answer is given. Objects of a bucket without any conditioning frame
  // (all of their prompts were taken back) are absent: logits of -1024. ERR_NO_PROMPT where that is so for all.
  Propagated propagate(int64_t frame, bool reverse) override {
    return propagate_some(frame, reverse, object_ids(), /*encode_memory=*/false);
  }
  Propagated propagate_some(int64_t frame, bool reverse, const std::vector<int64_t>& objects,
                            bool encode_memory = true) override {
    const auto chosen = buckets_of(objects);
    if (!chosen.empty() &&
        std::none_of(chosen.begin(), chosen.end(), [&](size_t i) { return buckets_[i].bank().has_conditioning(); }))
      throw Error(ERR_NO_PROMPT, "No object has a prompt to be tracked from.", "Add points, a box or a mask first.");
    return translate(ERR_INFERENCE, "Tracking", [&] { return run(frame, reverse, chosen, encode_memory); });
  }

  void ask_ahead(int64_t frame, bool reverse) override {
    ahead_.reset();
    const auto moving = moving_to(frame, buckets_of(object_ids()));
    if (moving.empty()) return;
    translate(ERR_INFERENCE, "Tracking", [&] {
      ahead_ = Ahead{frame, reverse, moving, ids_of(moving), ask(frame, reverse, moving, /*encode_memory=*/false)};
    });
  }
  void forget_ahead() override { ahead_.reset(); }

  void remove_objects(const std::vector<int64_t>& ids) override {
    translate(ERR_INFERENCE, "Removing objects", [&] {
      std::vector<Bucket> left;
      for (const Bucket& bucket : buckets_) {
        left.push_back(bucket);
        left.back().remove(ids);
        if (left.back().ids().empty()) left.pop_back();
      }
      buckets_ = std::move(left);
    });
    pin_pending();
  }

  BucketFrame clear_inputs(int64_t frame, int64_t object) override {
    return translate(ERR_INFERENCE, "Taking prompts back", [&] {
      Bucket& bucket = bucket_of(object);
      Bucket changed = bucket;
      changed.clear_inputs(frame, object);
      BucketFrame out = changed.on_frame(context(), frame);
      bucket = std::move(changed);
      pin_pending();
      return out;
    });
  }
  void clear_mask_prompts_around(int64_t frame, int64_t object, int64_t window) override {
    Bucket& bucket = bucket_of(object);
    Bucket changed = bucket;
    for (const int64_t t : bucket.mask_frames(object)) {
      if (t == frame || std::llabs(t - frame) > window) continue;  // there it is the prompt itself
      for (const int64_t id : bucket.ids()) changed.clear_inputs(t, id);
    }
    bucket = std::move(changed);
    pin_pending();
  }
  void preflight(const std::vector<int64_t>& objects) override {
    for (const size_t i : buckets_of(objects)) buckets_[i].preflight(context());
    pin_pending();
  }
  using ObjectTracker::preflight;

  void prune(int64_t frame) override {
    for (Bucket& bucket : buckets_) bucket.prune(context(), frame);
  }
  void move_to_host(int64_t frame) override {
    translate(ERR_INFERENCE, "Moving memories to the host", [&] {
      for (Bucket& bucket : buckets_) bucket.move_to_host(context(), frame);
    });
  }
  int64_t growth_of_step(int64_t frame, bool reverse, const std::vector<int64_t>& objects,
                         int64_t added) const override {
    const auto chosen = buckets_of(objects);
    int64_t total = added > 0 ? new_bucket().frame_bytes(context(), added) : 0;
    for (size_t i = 0; i < buckets_.size(); i++) {
      const bool tracked = std::find(chosen.begin(), chosen.end(), i) != chosen.end();
      total += growth(buckets_[i], tracked ? std::optional(frame) : std::nullopt, 0);
      if (tracked) total += buckets_[i].view_growth(context(), frame, reverse);
    }
    return total;
  }
  int64_t growth_of_prompt(int64_t frame, int64_t object) const override {
    const size_t home = home_of(object);
    int64_t total = home == buckets_.size() ? new_bucket().frame_bytes(context(), 1) : 0;
    for (size_t i = 0; i < buckets_.size(); i++)
      total += i == home ? growth(buckets_[i], frame, buckets_[i].contains(object) ? 0 : 1)
                         : growth(buckets_[i], std::nullopt, 0);
    return total;
  }
  int64_t host_bytes() const override {
    int64_t total = 0;
    for (const Bucket& bucket : buckets_) total += bucket.host_bytes();
    return total;
  }
  int64_t bytes() const override {
    int64_t total = 0;
    for (const Bucket& bucket : buckets_) total += bucket.bytes();
    return total;
  }
  std::set<int64_t> pending_frames() const override {
    std::set<int64_t> frames;
    for (const Bucket& bucket : buckets_) frames.merge(bucket.pending_frames());
    return frames;
  }
  bool has_conditioning() const override {
    return std::any_of(buckets_.begin(), buckets_.end(), [](const auto& b) { return b.bank().has_conditioning(); });
  }
  bool has_conditioning(int64_t object) const override {
    return buckets_[buckets_of({object})[0]].bank().has_conditioning();
  }

  const std::vector<Bucket>& buckets() const { return buckets_; }

 protected:
  // What tracking a bucket to a frame gives: the objects' masks and logits, and what is stored of them.
  struct Tracked {
    at::Tensor masks, host_masks;  // [N,4G,4G]
    at::Tensor object_logits;      // [N,1] float32 on the host
    typename Bucket::Output output;
  };
  // The same while the device is at it: what will be on the host is not there yet.
  struct Asked {
    std::vector<Tracked> tracked;
    HostCopy copy;
  };
  // Asks the device to track these buckets to a frame that none of them has a prompt on. Changes nothing.
  virtual Asked ask(int64_t frame, bool reverse, const std::vector<size_t>& moving, bool encode_memory) = 0;
  // Waits for it.
  virtual std::vector<Tracked> receive(Asked asked) const = 0;
  virtual Bucket new_bucket() const = 0;
  // The bucket that takes the prompts of an object, new or not; behind the last one: it gets one of its own.
  virtual size_t home_of(int64_t object) const = 0;
  // Ids in the order in which results have them: here that of the buckets.
  virtual std::vector<int64_t> in_order(std::vector<int64_t> ids) const { return ids; }

  TrackContextOf<Network> context() const {
    return {model_, frames_, network_, options_, width_, height_, num_frames_};
  }
  std::vector<size_t> buckets_of(const std::vector<int64_t>& objects) const {
    std::set<size_t> found;
    for (const int64_t object : objects) {
      const auto bucket =
          std::find_if(buckets_.begin(), buckets_.end(), [&](const auto& b) { return b.contains(object); });
      if (bucket == buckets_.end()) throw unknown_object(object, object_ids());
      found.insert(static_cast<size_t>(bucket - buckets_.begin()));
    }
    return {found.begin(), found.end()};
  }
  Bucket& bucket_of(int64_t object) { return buckets_[buckets_of({object})[0]]; }
  void pin_pending() { frames_.pin(this, pending_frames()); }

  ImageModel& model_;
  FrameStore& frames_;
  TrackerOptions options_;
  mutable Network network_;
  int64_t width_, height_, num_frames_;
  std::vector<Bucket> buckets_;

 private:
  // What was asked for ahead, and for which objects.
  struct Ahead {
    int64_t frame;
    bool reverse;
    std::vector<size_t> moving;
    std::vector<int64_t> ids;
    Asked asked;
  };
  std::optional<Ahead> ahead_;

  // Those of these buckets that the network has to be run for.
  std::vector<size_t> moving_to(int64_t frame, const std::vector<size_t>& chosen) const {
    std::vector<size_t> moving;
    for (const size_t i : chosen)
      if (buckets_[i].bank().has_conditioning() && !buckets_[i].stands(frame)) moving.push_back(i);
    return moving;
  }
  // Of a bucket that turns its prompts into memory and then, with `more` objects, stores `frame`, too.
  int64_t growth(const Bucket& bucket, std::optional<int64_t> frame, int64_t more) const {
    auto frames = bucket.pending_frames();
    if (frame) frames.insert(*frame);
    return static_cast<int64_t>(frames.size()) * bucket.frame_bytes(context(), more);
  }
  std::vector<int64_t> ids_of(const std::vector<size_t>& chosen) const {
    std::vector<int64_t> ids;
    for (const size_t i : chosen) ids.insert(ids.end(), buckets_[i].ids().begin(), buckets_[i].ids().end());
    return ids;
  }
  Propagated run(int64_t frame, bool reverse, const std::vector<size_t>& chosen, bool encode_memory) {
    const auto device = model_.program().target().device;
    const auto moving = moving_to(frame, chosen);
    std::optional<Ahead> ahead = std::exchange(ahead_, {});
    const bool is_ahead = ahead && !encode_memory && ahead->frame == frame && ahead->reverse == reverse &&
                          ahead->moving == moving && ahead->ids == ids_of(moving);
    std::vector<Tracked> tracked;
    if (!moving.empty())
      tracked = receive(is_ahead ? std::move(ahead->asked) : ask(frame, reverse, moving, encode_memory));

    // From here on nothing but copies: state changes only when all went well.
    const int64_t side = model_.mask_side();
    const auto options = at::TensorOptions().dtype(at::kFloat).device(device);
    std::vector<at::Tensor> masks{at::empty({0, side, side}, options)}, logits{at::empty({0}, at::kFloat)},
        host_masks{at::empty({0, side, side}, at::kFloat)};
    size_t next = 0;
    for (const size_t i : chosen) {
      const auto count = static_cast<int64_t>(buckets_[i].ids().size());
      if (next < moving.size() && moving[next] == i) {
        masks.push_back(tracked[next].masks);
        host_masks.push_back(tracked[next].host_masks);
        logits.push_back(tracked[next++].object_logits.flatten());
      } else if (buckets_[i].stands(frame)) {
        const BucketFrame stored = buckets_[i].stored(frame);
        masks.push_back(stored.masks.to(device));
        host_masks.push_back(to_host(stored.masks));
        logits.push_back(stored.object_logits);
      } else {
        masks.push_back(at::full({count, side, side}, kAbsent, options));
        host_masks.push_back(at::full({count, side, side}, kAbsent, at::kFloat));
        logits.push_back(at::full({count}, kAbsent, at::kFloat));
      }
    }
    Propagated result{at::cat(masks), at::cat(logits), {}};
    result.host_masks = device.is_cpu() ? result.masks : at::cat(host_masks);
    sort(result, ids_of(chosen));
    for (size_t i = 0; i < moving.size(); i++)
      buckets_[moving[i]].store_tracked(frame, reverse, std::move(tracked[i].output));
    for (const size_t i : chosen)
      if (std::find(moving.begin(), moving.end(), i) == moving.end() && buckets_[i].stands(frame))
        buckets_[i].meet_conditioning(context(), frame, reverse);
    return result;
  }
  void sort(Propagated& result, const std::vector<int64_t>& ids) const {
    const auto wanted = in_order(ids);
    if (wanted == ids) return;
    std::vector<int64_t> rows;
    for (const int64_t id : wanted) rows.push_back(std::find(ids.begin(), ids.end(), id) - ids.begin());
    const auto select = [&](const at::Tensor& of) { return of.index_select(0, index_tensor(rows, of.device())); };
    const bool one = result.host_masks.is_same(result.masks);
    result.masks = select(result.masks);
    result.host_masks = one ? result.masks : select(result.host_masks);
    result.object_logits = select(result.object_logits);
  }
};

}  // namespace sam3
