#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <map>
#include <set>
#include <vector>

#include "image/prompts.h"
#include "video/tracker/click_network.h"
#include "video/tracker/tracker_options.h"

namespace sam3 {

// The objects that are tracked together and their prompts by frame: what the user or the detector gave, and what of it
// is not in memory yet.
class PromptBook {
 public:
  // An object's answer to a prompt, before it is merged with those of the others. Exactly one of the masks is defined.
  struct Pending {
    at::Tensor logits;   // [4G,4G] float32
    at::Tensor given;    // bool [height,width]
    at::Tensor pointer;  // [1,C]
    float object_logit = 0, iou = 0;
    int64_t order = 0;  // frames of an object that came first have a lower one; changes of a prompt keep it

    // The logits, those of a mask that was given resized to [side,side].
    at::Tensor mask(int64_t side) const;
  };
  struct Entry {
    std::map<int64_t, ClickNetwork::Points> points;  // by frame, as all of these
    std::set<int64_t> masks;
    std::map<int64_t, Pending> pending;
    bool prompted(int64_t frame) const { return points.count(frame) || masks.count(frame); }
  };

  const std::vector<int64_t>& ids() const { return ids_; }
  const std::vector<Entry>& entries() const { return entries_; }  // of the ids, in their order
  size_t index_of(int64_t id) const;                              // ids().size() where it is not there
  bool contains(int64_t id) const { return index_of(id) < ids_.size(); }
  const Pending* pending(size_t index, int64_t frame) const;
  bool prompted(int64_t frame) const;  // whether any object has a prompt there

  // Answers to prompts. The object is made where it is not there.
  void set_points(int64_t frame, int64_t id, ClickNetwork::Points points, Pending pending);
  // Masks that were given, bool [K,height,width], with the pointers [K,C] of those masks. Each takes its pixels from
  // masks that objects were given on the frame before.
  void set_masks(int64_t frame, const std::vector<int64_t>& ids, const at::Tensor& given, const at::Tensor& pointers,
                 const std::vector<float>& there);
  // An object without prompts, where it is not there.
  void add(int64_t id) { entry(id); }
  void erase(int64_t frame, int64_t id);
  void erase_frame(int64_t frame);                // the points and masks of all objects
  void select(const std::vector<int64_t>& rows);  // keeps these objects, in this order
  void settle();                                  // nothing is pending any more

  // The points of a prompt, after those that the object has on the frame; of too many the middle ones are left out. See
  // MaskletBucket::add_points for the errors.
  ClickNetwork::Points merged_points(int64_t frame, int64_t id, const ClickPrompt& input, int64_t input_size,
                                     const TrackerOptions& options) const;
  std::vector<int64_t> mask_frames(int64_t id) const;  // with a mask but no points
  std::set<int64_t> pending_frames() const;
  std::vector<int64_t> preflight_order() const;            // the same as the reference walks them
  std::vector<std::set<int64_t>> prompted_frames() const;  // of each object
  int64_t bytes() const;

 private:
  Entry& entry(int64_t id);  // made where it is not there
  void set_pending(Entry& entry, int64_t frame, Pending pending);

  std::vector<int64_t> ids_;
  std::vector<Entry> entries_;
  int64_t next_order_ = 0;  // of pending prompts
};

}  // namespace sam3
