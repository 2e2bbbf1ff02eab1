#pragma once
#include <memory>
#include <string>
#include <vector>

#include "support/golden.h"
#include "video/concepts/concept_state.h"
#include "video/concepts/multiplex_rules.h"
#include "video/session/output_stage.h"
#include "video/tracker/slot_assignment.h"

namespace sam3::test {

// Masks from packed bits and the two logits that each has inside and outside.
at::Tensor logits_of(const at::Tensor& bits, const at::Tensor& values, int64_t side);

// What a recorded run of SAM 3.1's loop is replayed on: where tracks come from, and detections that it does not
// prescribe.
class ReplaySubject {
 public:
  virtual ~ReplaySubject() = default;
  virtual MaskletTracker& tracker() = 0;
  virtual std::vector<SlotAssignment> states() const = 0;
  virtual void open(int64_t frame) = 0;
  virtual ConceptDetections detect(int64_t frame, bool prompted, const MultiplexRules& rules) = 0;
  // Whether nothing is computed by the network, so that every number is that of the recording.
  virtual bool is_exact() const = 0;
};

// Every query that a run prescribes for a frame and that is above the threshold, suppressed by the rules; `queries`
// gets the numbers of those that are left. Nothing where the run leaves the frame out. Masks are on `device`.
ConceptDetections crafted_detections(const GoldenTensors& tensors, const std::string& run, int64_t frame, bool prompted,
                                     const MultiplexRules& rules, int64_t side, c10::Device device,
                                     std::vector<int64_t>* queries);

// One recorded run, step by step: decisions, what is remembered, results. Ends where the reference ended with an error.
class MultiplexReplay {
 public:
  MultiplexReplay(const std::string& name, const Json& run, const GoldenTensors& tensors, const OutputRules& size,
                  int64_t side, const MultiplexOptions& options, ReplaySubject& subject);
  void play();
  // The settings of a run.
  static MultiplexOptions options_of(const Json& run);

 private:
  void propagate(size_t op, const Json& about);
  ConceptDetections detect(int64_t frame, bool prompted);
  void process(int64_t frame, bool reverse, bool prompted);
  void check_plan(const FramePlan& plan, const Json& expected, int64_t kept, const std::vector<SlotAssignment>& before);
  void check_state(const Json& expected) const;
  void check_output(size_t op, int64_t frame, const std::vector<TrackedObject>& found);
  std::vector<uint8_t> packed(const MaskRuns& mask) const;

  std::string name_;
  const Json& run_;
  const GoldenTensors& tensors_;
  OutputRules size_;
  int64_t frames_, side_;
  MultiplexOptions options_;
  ReplaySubject& subject_;
  std::shared_ptr<const MultiplexRules> rules_;
  ConceptState state_;
  OutputStage stage_;
  std::vector<int64_t> queries_;
  int64_t next_id_ = 0;
  size_t step_ = 0, shown_ = 0;
  float tolerance_;  // of scores
};

}  // namespace sam3::test
