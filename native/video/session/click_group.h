#pragma once
#include <map>
#include <set>

#include "video/session/object_group.h"

namespace sam3 {

// Clicked objects of a session without concepts: what Meta's Sam3TrackerPredictor does. Nothing is detected,
// associated or hidden, holes are not filled, and objects may overlap; an object that is absent is listed with an empty
// mask. Objects that come after tracking has begun are tracked beside the others (the predictor refuses them).
class ClickGroup final : public ObjectGroup {
 public:
  explicit ClickGroup(SessionContext& context);

  void add_points(int64_t frame, int64_t object, const ClickPrompt& input) override;
  void add_mask(int64_t frame, int64_t object, const at::Tensor& mask) override;
  void clear_prompts(int64_t frame, int64_t object) override;
  void remove_object(int64_t object) override;

  GroupRun plan(const RunRequest& request) const override;
  bool has_prompts() const override;
  bool takes_new_objects() const override { return false; }
  bool needs_images() const override { return true; }
  bool computes(int64_t frame) const override { return run_.covers(frame); }
  void step(int64_t frame, const ConceptDetections& detections) override;

  std::vector<TrackedObject> look(int64_t frame) const override { return stage_.look(frame); }
  std::vector<TrackedObject> finalise(int64_t frame) override { return stage_.look(frame); }

 private:
  void store(int64_t frame, const BucketFrame& found);
  void note_prompt(int64_t frame, int64_t object);

  std::map<int64_t, std::set<int64_t>> prompted_;  // object: frames with its prompts
};

}  // namespace sam3
