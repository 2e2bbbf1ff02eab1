#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "video/concepts/concept_detector.h"
#include "video/concepts/concept_rules.h"
#include "video/session/action_history.h"
#include "video/session/output_stage.h"
#include "video/session/video_types.h"
#include "video/tracker/object_tracker.h"

namespace sam3 {

// What the groups of a session share.
struct SessionContext {
  ImageModel& model;
  FrameStore& frames;
  const VideoOptions& options;
  std::shared_ptr<const ConceptRules> rules;
  int64_t next_id = 0;  // of the next detected object: one more than the highest id that was ever there

  // Whether this repair of SAM 3.1 is to be left out, so that the reference's failure is met.
  bool leaves_out(bool MultiplexOptions::* repair) const {
    return model.program().is_multiplex() && !(options.concepts.*repair);
  }
};

// The part of a propagation that concerns one group.
struct GroupRun {
  PropagationKind kind = PropagationKind::full;
  std::optional<int64_t> start;  // the frame it was asked from, if any; going backward may leave it out
  int64_t first = 0, last = -1;  // last before first in the order of travel: nothing to do
  bool reverse = false;
  std::vector<int64_t> objects;  // of a partial one
  bool cut_short = false;        // forward, and max_frames chose the last frame

  bool empty() const { return reverse ? last > first : last < first; }
  bool covers(int64_t frame) const {
    return reverse ? frame <= first && frame >= last : frame >= first && frame <= last;
  }
};

// What is asked of a propagation, with the frames still to be chosen.
struct RunRequest {
  bool reverse = false;
  std::optional<int64_t> start;
  std::optional<int64_t> max_frames;
};

// Objects that are tracked and shown together: those of one concept, or those that were clicked in a session without
// concepts.
class ObjectGroup {
 public:
  ObjectGroup(SessionContext& context, const OutputRules& rules);
  virtual ~ObjectGroup() = default;
  ObjectGroup(const ObjectGroup&) = delete;
  ObjectGroup& operator=(const ObjectGroup&) = delete;

  std::vector<int64_t> object_ids() const { return tracker_->object_ids(); }
  bool tracks(int64_t object) const;

  // Prompts for one object, new or not, on the frame that is open. A call that throws changes nothing.
  virtual void add_points(int64_t frame, int64_t object, const ClickPrompt& input) = 0;
  virtual void add_mask(int64_t frame, int64_t object, const at::Tensor& mask) = 0;
  virtual void clear_prompts(int64_t frame, int64_t object) = 0;
  virtual void remove_object(int64_t object);

  // What a propagation has to do, and its begin; the group then waits for its frames.
  virtual GroupRun plan(const RunRequest& request) const = 0;
  virtual void begin(const GroupRun& run) { run_ = run; }
  // Joins a propagation that is under way, from `first` on.
  virtual void join(bool reverse, int64_t first, int64_t last);
  virtual void end() { run_ = {}; }
  const GroupRun& run() const { return run_; }
  virtual bool has_prompts() const = 0;
  // Whether objects that are clicked anew join this group before one that only follows clicks.
  virtual bool takes_new_objects() const = 0;
  // Takes the concept with this index and its objects out; false where it is another group's.
  virtual bool drop_concept(int64_t) { return false; }
  // Of the propagation that began, where it is of one of the kinds that concepts have.
  virtual std::optional<PropagationKind> kind() const { return {}; }
  // Whether the propagation that began needs images at all.
  virtual bool needs_images() const = 0;
  // Whether the frame of this propagation needs its image, or what is stored is enough.
  virtual bool computes(int64_t frame) const = 0;
  // Frames whose results wait for later ones.
  virtual int64_t delay() const { return 0; }

  // Asks the device for what step() will need of the tracker on this frame, so that it has work while the detector's
  // answers are read; forget_ahead() ends that, however the step does.
  virtual void ask_ahead(int64_t) {}
  void forget_ahead() { tracker_->forget_ahead(); }
  // The prompt that the detector gets on a frame of this propagation, if any.
  virtual const ConceptPrompt* prompt_on(int64_t) const { return nullptr; }
  // What the detector found of it before, where it has seen this frame with this prompt.
  virtual const ConceptDetections* remembered(int64_t) const { return nullptr; }
  // One frame of the propagation, with what the detector found of prompt_on().
  virtual void step(int64_t frame, const ConceptDetections& detections) = 0;

  // What is shown of a frame: so far, or for good.
  virtual std::vector<TrackedObject> look(int64_t frame) const = 0;
  virtual std::vector<TrackedObject> finalise(int64_t frame) = 0;
  // Objects that are tracked as of a frame, and detections that were over the limit.
  std::pair<int64_t, int64_t> counts(int64_t frame) const;

  // After a step to `newest`: forgets what is not needed any more, in a bounded history all that tracking on from there
  // cannot look at. `waiting`: frames that were not shown yet.
  virtual void tidy(int64_t newest, const std::set<int64_t>& waiting);
  int64_t tracker_bytes() const { return tracker_->bytes(); }
  int64_t tracker_host_bytes() const { return tracker_->host_bytes(); }
  int64_t output_bytes() const { return stage_.bytes(); }
  // The objects that are tracked to a frame of this propagation.
  virtual std::vector<int64_t> tracked_on(int64_t frame) const;
  // Full history: by at most how much tracker_host_bytes() and output_bytes() grow together, prompts that are not
  // memory yet included. In a step that tracks these objects to the frame and adds so many others; with points or a
  // mask.
  int64_t growth_of_step(int64_t frame, const std::vector<int64_t>& objects, int64_t added) const;
  int64_t growth_of_prompt(int64_t frame, int64_t object, bool mask) const;

 protected:
  // First and last frame from `start` on as Meta's predictors count them; `offset` 1 where going backward leaves the
  // start frame out.
  GroupRun range_of(const RunRequest& request, int64_t start, int64_t offset) const;
  // Of what is shown of an object on one frame, whose mask changes at most so often along a column.
  int64_t record_bytes(int64_t changes) const;
  int64_t num_frames() const { return context_.options.num_frames; }
  // What is kept of the tracker's answer for one object: its runs, its logits [4G,4G] where results carry them, and its
  // probability, by which it is scored and ranked.
  ObjectRecord object_record(MaskRuns mask, const at::Tensor& logits, float object_logit, float probability) const;

  SessionContext& context_;
  std::unique_ptr<ObjectTracker> tracker_;
  OutputStage stage_;
  GroupRun run_;
};

// A bool mask [height,width] as runs.
MaskRuns runs_of_mask(const at::Tensor& mask);

}  // namespace sam3
