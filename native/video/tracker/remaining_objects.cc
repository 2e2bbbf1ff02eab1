#include "video/tracker/remaining_objects.h"

#include <algorithm>
#include <numeric>

namespace sam3 {
namespace {

// Sets of objects that are looked at; 8 objects need at most 255 for each that comes first.
constexpr int64_t kMostSets = 2048;
// Where that is not enough to decide, this many times the frames of one choice are kept.
constexpr int64_t kLoose = 4;

struct Range {
  float low, high;
};

// Looks at families of sets of objects: those that hold certain objects, and any of those that come later in an order.
// Mostly all sets of a family agree on each frame, so that as many families as objects settle it; others are split.
class Search {
 public:
  Search(const std::vector<ScoredFrame>& frames, size_t objects, int64_t newest, int64_t most, int64_t with_features,
         float threshold)
      : frames_(frames),
        order_(objects),
        newest_(newest),
        most_(most),
        with_features_(with_features),
        above_(threshold * (1 + kScoreDoubt)),
        below_(threshold * (1 - kScoreDoubt)) {}

  KeptFrames run() {
    sort_objects();
    for (size_t i = 0; i < order_.size(); i++) {
      sets_ = kMostSets / static_cast<int64_t>(order_.size());
      visit({order_[i]}, i + 1);
    }
    return std::move(kept_);
  }

 private:
  // Objects that are well seen on the latest frames first: sets with one of these are settled by these frames.
  void sort_objects() {
    std::vector<size_t> reach(order_.size());
    for (size_t o = 0; o < order_.size(); o++) {
      int64_t seen = 0;
      for (; reach[o] < frames_.size() && seen < most_; reach[o]++)
        if (range(frames_[reach[o]], {o}, order_.size()).low > above_) seen++;
    }
    std::iota(order_.begin(), order_.end(), size_t{0});
    std::stable_sort(order_.begin(), order_.end(), [&](size_t a, size_t b) { return reach[a] < reach[b]; });
  }

  // Of the scores of `in` with any of the objects from `next` on.
  Range range(const ScoredFrame& frame, const std::vector<size_t>& in, size_t next) {
    const auto prompted = [&](size_t o) { return !frame.prompted.empty() && frame.prompted[o]; };
    if (std::any_of(in.begin(), in.end(), prompted)) return {-1, -1};
    float present = 0, iou = 0;
    for (const size_t o : in) {
      present += frame.present[o];
      iou += frame.iou[o];
    }
    auto count = static_cast<float>(in.size());
    Range out{present * iou / (count * count), present * iou / (count * count)};
    others_present_.clear();
    others_iou_.clear();
    for (size_t i = next; i < order_.size(); i++) {
      if (prompted(order_[i])) {
        out.low = -1;  // it may be left, or not
        continue;
      }
      others_present_.push_back(frame.present[order_[i]]);
      others_iou_.push_back(frame.iou[order_[i]]);
    }
    std::sort(others_present_.begin(), others_present_.end());
    std::sort(others_iou_.begin(), others_iou_.end());
    float low_present = present, low_iou = iou;
    for (size_t i = 0, n = others_present_.size(); i < n; i++) {
      count++;
      low_present += others_present_[i];
      low_iou += others_iou_[i];
      present += others_present_[n - 1 - i];
      iou += others_iou_[n - 1 - i];
      out.low = std::min(out.low, low_present * low_iou / (count * count));
      out.high = std::max(out.high, present * iou / (count * count));
    }
    return out;
  }

  void visit(const std::vector<size_t>& in, size_t next) {
    sets_--;
    const bool last = next == order_.size() || sets_ <= 0;
    const int64_t slack = next < order_.size() && sets_ <= 0 ? kLoose : 1;
    std::vector<int64_t> features, pointers;
    int64_t surely = 0;
    for (const ScoredFrame& frame : frames_) {
      if (surely >= most_) break;
      const Range score = range(frame, in, next);
      if (score.high <= below_) continue;
      const auto found = static_cast<int64_t>(features.size() + pointers.size());
      const bool attended = surely < with_features_;
      const bool known = kept_.features.count(frame.frame) || (!attended && kept_.pointers.count(frame.frame));
      if (score.low <= above_ && !known && !last) {
        auto with = in;
        with.push_back(order_[next]);
        visit(with, next + 1);
        visit(in, next + 1);
        return;
      }
      if (slack > 1 && found >= slack * most_) break;
      (attended && (slack == 1 || found < slack * with_features_) ? features : pointers).push_back(frame.frame);
      if (score.low > above_ && frame.frame < newest_) surely++;
    }
    kept_.features.insert(features.begin(), features.end());
    kept_.pointers.insert(pointers.begin(), pointers.end());
  }

  const std::vector<ScoredFrame>& frames_;
  std::vector<size_t> order_;
  int64_t newest_, most_, with_features_;
  float above_, below_;
  int64_t sets_ = 0;
  KeptFrames kept_;
  std::vector<float> others_present_, others_iou_;
};

}  // namespace

KeptFrames frames_for_remaining(const std::vector<ScoredFrame>& frames, size_t objects, int64_t newest, int64_t most,
                                int64_t with_features, float threshold) {
  return Search(frames, objects, newest, most, with_features, threshold).run();
}

}  // namespace sam3
