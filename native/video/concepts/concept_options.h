#pragma once
#include <cstdint>

namespace sam3 {

// Thresholds of the concept logic, under the names and with the defaults of Meta's Sam3VideoBase and of the released
// model. They hold for each concept of a session by itself.
struct ConceptOptions {
  // Detections: kept when score > threshold, after suppression of those whose mask IoU with a better one is above
  // det_nms_thresh (0 = no suppression).
  float score_threshold_detection = 0.5f;
  float det_nms_thresh = 0.1f;
  // A detection belongs to every masklet with mask IoU >= assoc_iou_thresh; a masklet is matched when a detection has
  // IoU >= trk_assoc_iou_thresh. One-to-one matching of masklets (Hungarian) when o2o_matching_masklets_enable.
  float assoc_iou_thresh = 0.1f;
  float trk_assoc_iou_thresh = 0.5f;
  bool o2o_matching_masklets_enable = false;
  // An unmatched detection becomes an object when score >= new_det_thresh (on a frame without masklets every one does).
  float new_det_thresh = 0.7f;
  bool suppress_det_close_to_boundary = false;
  int64_t max_num_objects = -1;  // of one concept, above which nothing detected is added; -1 = no limit (10000)
  // Results are held back for hotstart_delay frames (0 = not at all); a masklet that is unmatched, or shares its
  // detection with an earlier one, for this many of those frames is removed.
  int64_t hotstart_delay = 15;
  int64_t hotstart_unmatch_thresh = 8;
  int64_t hotstart_dup_thresh = 8;
  // Later on, a masklet whose keep-alive count (+1 matched, -1 unmatched) is used up is hidden, unless this is true.
  bool suppress_unmatched_only_within_hotstart = true;
  int64_t init_trk_keep_alive = 30;
  int64_t max_trk_keep_alive = 30;
  int64_t min_trk_keep_alive = -1;
  bool decrease_trk_keep_alive_for_empty_masklets = false;
  // Of two masklets with this mask IoU the more recently occluded one is suppressed (0 = never).
  float suppress_overlapping_based_on_recent_occlusion_threshold = 0.7f;
  int64_t fill_hole_area = 16;  // low-resolution pixels; holes and sprinkles up to this area are repaired
  // Every n-th frame (0 = never), and whenever the boxes of a masklet and of its detection overlap less than
  // reconstruction_bbox_iou_thresh (0 = never) at a score of at least reconstruction_bbox_det_score, the masks of
  // confident detections replace those of their masklets.
  int64_t recondition_every_nth_frame = 16;
  float reconstruction_bbox_iou_thresh = 0;
  float reconstruction_bbox_det_score = 0;
  // Masklets are shown only once they were matched on so many consecutive frames.
  bool masklet_confirmation_enable = false;
  int64_t masklet_confirmation_consecutive_det_thresh = 3;
  // Clicks on an object of a concept.
  bool use_prev_mem_frame = false;        // clicks also see the memory of other frames
  bool use_stateless_refinement = false;  // the first click on an object forgets what was tracked of it
  int64_t refinement_detector_cond_frame_removal_window = 16;  // frames around a click whose detector masks are dropped
};

}  // namespace sam3
