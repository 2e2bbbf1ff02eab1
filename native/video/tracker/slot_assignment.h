#pragma once
#include <cstdint>
#include <optional>
#include <vector>

namespace sam3 {

// Which object is in which slot of which bucket (SAM 3.1): up to `slots` objects of a bucket share one pass of the
// network. A slot that an object has left is not given again, because the memories of earlier frames still have it.
// Source: Meta's MultiplexState.
class SlotAssignment {
 public:
  static constexpr int64_t kEmpty = -1, kLeft = -1116;  // as the reference numbers them

  SlotAssignment(int64_t slots, const std::vector<int64_t>& ids) : slots_(slots) { add(ids); }

  // In the order in which they were added: an object's index is its place here.
  const std::vector<int64_t>& ids() const { return ids_; }
  int64_t slots() const { return slots_; }  // of a bucket
  int64_t buckets() const { return static_cast<int64_t>(buckets_.size()); }
  // The objects' indices, bucket by bucket, or kEmpty, or kLeft.
  const std::vector<std::vector<int64_t>>& indices() const { return buckets_; }
  // The slot of each object, counted through all buckets; of a bucket's objects, which follow each other, in rising
  // order.
  std::vector<int64_t> places() const;
  // Slots that an object may still be put into without another bucket.
  int64_t free() const;

  // Empty slots first, in the order of the buckets, then new buckets.
  void add(const std::vector<int64_t>& ids);
  // A bucket without objects goes. Returns the buckets that stay, by their number until now.
  std::vector<int64_t> remove(const std::vector<int64_t>& ids);

 private:
  int64_t slots_;
  std::vector<int64_t> ids_;
  std::vector<std::vector<int64_t>> buckets_;
};

// Which of several states takes `count` new objects: of those with room for all of them the one with the least (of
// equal ones the first). Nothing: none has, they get a state of their own. No state ever grows by a bucket: its stored
// frames have no pointers for it. Source: the text loop of Sam3MultiplexTracking.
std::optional<size_t> state_for(const std::vector<SlotAssignment>& states, int64_t count);

}  // namespace sam3
