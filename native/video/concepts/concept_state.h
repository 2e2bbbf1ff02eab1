#pragma once
#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <vector>

#include "masks/mask_ops.h"
#include "video/concepts/association.h"
#include "video/concepts/concept_options.h"
#include "video/concepts/concept_rules.h"
#include "video/concepts/confirmation.h"
#include "video/concepts/detections.h"
#include "video/concepts/hotstart.h"
#include "video/tracker/masklet_tracker.h"

namespace sam3 {

// What one frame does to a concept: everything that was decided, and the masks that came of it.
struct FramePlan {
  std::vector<int64_t> masklets;  // ids that were tracked to this frame, in the tracker's order
  Association association;
  std::vector<int64_t> new_detections, new_ids;  // detections that become objects, and their ids
  int64_t dropped = 0;                           // detections over the object limit
  std::set<int64_t> removed;                     // ids
  bool shows_removed = false;                    // on this frame they are in the results still (SAM 3.1)
  std::set<int64_t> hidden;                      // ids that are not shown on this frame
  std::vector<int64_t> reconditioned;            // ids whose masks were replaced in the tracker
  std::set<int64_t> shows_detection;             // ids that show the detection's mask instead of their own
  std::vector<bool> suppressed;                  // of the masklets: lost against another one (empty: not looked at)
  LogitMasks masks;                              // of the masklets: repaired, suppressed ones at -10
  std::vector<float> object_logits;              // of the masklets: above 0 the object is present
  std::vector<float> probabilities;              // the same as sigmoid
};

// What a concept remembers from frame to frame, beside the tracker's memory.
struct ConceptMetadata {
  std::vector<int64_t> ids;                  // in the tracker's order from the start of a step on
  std::map<int64_t, float> scores;           // of the first detection; 1 once clicked, -1e4 once removed
  std::map<int64_t, int64_t> last_occluded;  // id: frame, or kNeverOccluded
  HotstartState hotstart;
  Confirmation confirmation;
};

// The decisions for one concept, frame by frame. Source: Meta's Sam3VideoBase (run_tracker_propagation,
// run_tracker_update_planning_phase and run_tracker_update_execution_phase).
class ConceptState {
 public:
  ConceptState(MaskletTracker& tracker, std::shared_ptr<const ConceptRules> rules)
      : rules_(std::move(rules)), options_(rules_->options()), tracker_(tracker) {}
  // By the rules of SAM 3.
  ConceptState(const ConceptOptions& options, MaskletTracker& tracker)
      : ConceptState(tracker, std::make_shared<Sam3Rules>(options)) {}

  // Tracks, associates and updates one frame. New objects get ids from `next_id`. Where the tracker throws, metadata
  // and `next_id` are as before.
  FramePlan step(int64_t frame, bool reverse, const ConceptDetections& detections, int64_t& next_id);

  // An object that the user clicked: new, or known and refined. It is shown and kept from now on.
  void click(int64_t id, bool is_new);
  // Takes an object out. Its id is not given again.
  void remove(int64_t id);
  // Forgets what is only needed to hide an object that was removed.
  void forget(int64_t id);

  const ConceptMetadata& metadata() const { return metadata_; }
  const ConceptOptions& options() const { return options_; }

 private:
  bool tracks(int64_t id) const;
  int64_t object_limit() const;
  void reconcile();
  void choose_new_objects(FramePlan& plan, const ConceptDetections& detections, int64_t next_id) const;
  void recondition(FramePlan& plan, int64_t frame, const ConceptDetections& detections);
  void suppress_occluded(FramePlan& plan, ConceptMetadata& metadata, int64_t frame, bool reverse) const;
  void settle(const FramePlan& plan, ConceptMetadata& metadata, const ConceptDetections& detections) const;

  std::shared_ptr<const ConceptRules> rules_;
  ConceptOptions options_;
  MaskletTracker& tracker_;
  ConceptMetadata metadata_;
};

}  // namespace sam3
