#pragma once
#include <algorithm>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <set>
#include <vector>

#include "video/concepts/concept_state.h"
#include "video/session/frame_result.h"

namespace sam3 {

// One object on one frame, as far as it may be shown.
struct ObjectRecord {
  MaskRuns mask;          // at the size of the video
  float score = 0;        // first detection score; 1 once clicked
  float probability = 0;  // by the tracker on this frame; of a new object its detection score
  float rank = 0;         // decides who gets pixels that several objects claim
  float object_logit = 0;
  std::vector<float> logits;
};

struct FrameRecord {
  std::map<int64_t, ObjectRecord> objects;  // by id
  std::set<int64_t> hidden;                 // ids that are tracked, but not shown on this frame
  bool settled = false;                     // final: what is to be hidden is gone
  int64_t tracked = -1, dropped = 0;        // objects alive (-1: as many as now), detections over the limit
};

struct OutputRules {
  int64_t width = 0, height = 0;  // of the video, pixels
  bool logits = false;            // keep low-resolution logits
  bool exclusive = true;          // a pixel belongs to one object only
  bool show_empty = false;        // objects without a mask are listed, too
};

// What a step of a concept shows. Source: Meta's Sam3VideoBase.build_outputs.
FrameRecord record_of(const FramePlan& plan, const ConceptDetections& detections, const ConceptMetadata& metadata,
                      const ConceptOptions& options, const OutputRules& rules);

// The results of one group of objects: what was found on each frame, kept until it is final, and as long as a prompt or
// a later look may need it.
// Source: Meta's Sam3VideoInference (propagate_in_video, _postprocess_output, _cache_frame_outputs).
class OutputStage {
 public:
  explicit OutputStage(const OutputRules& rules) : rules_(rules) {}

  const OutputRules& rules() const { return rules_; }
  bool has(int64_t frame) const { return records_.contains(frame); }
  const FrameRecord* find(int64_t frame) const;
  // Whether a frame was looked at as a whole: a prompt alone makes a record, too.
  bool computed(int64_t frame) const;
  int64_t computed(int64_t first, int64_t last) const;  // such frames, both ends included
  // Replaces what is known of a frame; ids that were hidden on it stay hidden.
  void store(int64_t frame, FrameRecord record);
  // Replaces what is known of one object on a frame.
  void put(int64_t frame, int64_t id, ObjectRecord object);
  // The object is not hidden any more, on any frame.
  void unhide(int64_t id);

  // Ids that are not confirmed as of a frame of the present propagation, and the end of that propagation.
  void note_unconfirmed(int64_t frame, std::vector<int64_t> ids);
  void forget_unconfirmed() { unconfirmed_.clear(); }

  // What is shown of a frame: objects with a mask, by id, without those that are hidden; boxes are those of the masks
  // before pixels that several claim are given to one.
  std::vector<TrackedObject> look(int64_t frame) const;
  // The same, final: without `removed` objects and those that are not confirmed `delay` frames later, which the record
  // then forgets.
  std::vector<TrackedObject> finalise(int64_t frame, const std::set<int64_t>& removed, int64_t delay, bool reverse,
                                      int64_t num_frames);

  void remove_object(int64_t id);
  // Drops the records of all frames but those that `keep` names.
  void keep_only(const std::set<int64_t>& keep);
  int64_t bytes() const { return bytes_; }

 private:
  std::vector<TrackedObject> show(const FrameRecord& record, const std::set<int64_t>& hidden) const;
  void change(int64_t frame, const std::function<void(FrameRecord&)>& body);
  std::set<int64_t> unconfirmed_at(int64_t frame, int64_t delay, bool reverse, int64_t num_frames) const;

  OutputRules rules_;
  std::map<int64_t, FrameRecord> records_;
  std::map<int64_t, std::vector<int64_t>> unconfirmed_;
  int64_t bytes_ = 0;
};

// Frames whose results are held back until `delay` frames are waiting.
class PendingFrames {
 public:
  void begin(int64_t delay) { delay_ = delay, frames_.clear(); }
  // More is held back from now on.
  void raise(int64_t delay) { delay_ = std::max(delay_, delay); }
  // Takes the frame in and returns those that became final; all of them when it is the `last` one.
  std::vector<int64_t> push(int64_t frame, bool last);
  std::vector<int64_t> flush();
  const std::deque<int64_t>& frames() const { return frames_; }

 private:
  int64_t delay_ = 0;
  std::deque<int64_t> frames_;
};

}  // namespace sam3
