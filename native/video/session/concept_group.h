#pragma once
#include <map>
#include <optional>
#include <set>
#include <utility>

#include "video/concepts/concept_state.h"
#include "video/session/look_ahead.h"
#include "video/session/object_group.h"

namespace sam3 {

// One concept and its objects, and what was clicked beside them: Meta's Sam3VideoInferenceWithInstanceInteractivity
// with one prompt. Where that class cannot be followed:
// - Frames that no propagation has reached yet are detected and tracked whatever the history of actions says (the
//   reference shows nothing on them, or fails).
// - Clicked objects are never removed or hidden by the hotstart and keep-alive rules, and count as confirmed (in the
//   reference a later full propagation fails for want of their first frame).
class ConceptGroup final : public ObjectGroup {
 public:
  // `index` -1 for a group that never had a concept: clicked objects as the reference has them without a text, results
  // of which are merged into frames that have some already.
  ConceptGroup(SessionContext& context, int64_t index, const ConceptPrompt& prompt, int64_t frame);

  // -1 for objects that were clicked and not detected.
  int64_t concept_of(int64_t object) const { return clicked_.contains(object) ? -1 : index_; }

  // The frame of the prompt, for the first time.
  void start(const ConceptDetections& detections);
  const ConceptPrompt& prompt() const { return boxed_; }

  void add_points(int64_t frame, int64_t object, const ClickPrompt& input) override;
  void add_mask(int64_t frame, int64_t object, const at::Tensor& mask) override;
  void clear_prompts(int64_t frame, int64_t object) override;
  void remove_object(int64_t object) override;

  GroupRun plan(const RunRequest& request) const override;
  void begin(const GroupRun& run) override;
  void join(bool reverse, int64_t first, int64_t last) override;
  void end() override;
  bool has_prompts() const override { return index_ >= 0 || !tracker_->object_ids().empty(); }
  bool computes(int64_t frame) const override { return run_.covers(frame) && kind_on(frame) != PropagationKind::fetch; }
  bool takes_new_objects() const override { return true; }
  bool drop_concept(int64_t index) override;  // what was clicked stays
  std::optional<PropagationKind> kind() const override { return run_.kind; }
  bool needs_images() const override { return run_.kind != PropagationKind::fetch || delay() > 0; }
  int64_t delay() const override;
  std::vector<int64_t> tracked_on(int64_t frame) const override;
  void ask_ahead(int64_t frame) override;
  const ConceptPrompt* prompt_on(int64_t frame) const override;
  // The prompt's frame is looked at twice: at the prompt, and when it is propagated.
  const ConceptDetections* remembered(int64_t frame) const override;
  void step(int64_t frame, const ConceptDetections& detections) override;

  std::vector<TrackedObject> look(int64_t frame) const override;
  std::vector<TrackedObject> finalise(int64_t frame) override;
  void tidy(int64_t newest, const std::set<int64_t>& waiting) override;

 private:
  PropagationKind kind_on(int64_t frame) const;
  // Whether such a propagation is one on every frame, whether that has results or not.
  bool as_planned(PropagationKind kind) const;
  void check_repeated(int64_t frame, int64_t object) const;
  void put(int64_t frame, int64_t object, ObjectRecord record);
  bool boxed(int64_t frame) const;  // whether the detector gets the box there
  void track(int64_t frame, bool reverse, const ConceptDetections& detections);
  void track_clicked(int64_t frame);
  std::vector<int64_t> clicked_to_track() const;
  void drop_promptless();
  // Lets `prompt` give the object points or a mask, and takes the answer in.
  template <class Prompt>
  void click(int64_t frame, int64_t object, Prompt&& prompt);
  void forget_removed(const std::set<int64_t>& waiting);
  std::vector<TrackedObject> labelled(std::vector<TrackedObject> objects) const;

  int64_t index_, prompt_frame_;
  bool merges_;                  // into frames that have results, as the reference does with clicks without a text
  ConceptPrompt plain_, boxed_;  // without and with the box
  ConceptState state_;
  ActionHistory history_;
  LookAhead ahead_;
  std::set<int64_t> clicked_;  // objects that were never detected
  // Frames that an object was tracked to for its clicks, and whether it was clicked there since; as the reference only.
  std::map<int64_t, std::map<int64_t, bool>> tracked_again_;
  int64_t earliest_;  // frame with results
  std::optional<std::pair<int64_t, ConceptDetections>> first_look_;
};

}  // namespace sam3
