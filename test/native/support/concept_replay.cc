#include "support/concept_replay.h"

#include <ATen/ATen.h>
#include <doctest/doctest.h>

#include <algorithm>
#include <set>

#include "support/recorded_call.h"
#include "support/video_golden.h"
#include "support/video_plan_checks.h"
#include "video/concepts/concept_detector.h"

namespace sam3::test {

bool ConceptRun::Stage::backward() const {
  return frames.size() > 1 ? frames[1] < frames[0] : op.find("2nd_direction") != std::string::npos;
}

int64_t ConceptRun::Stage::start(int64_t num_frames) const {
  return backward() ? std::min(frames[0] + 1, num_frames - 1) : frames[0];
}

std::optional<int64_t> ConceptRun::Stage::distance(int64_t num_frames) const {
  if (frames.back() == (backward() ? 0 : num_frames - 1)) return {};
  return std::abs(frames.back() - start(num_frames));
}

ConceptRun::ConceptRun(const Json& run, const Json& recording)
    : name(run.at("name").as_string("name")),
      key(name + "." + run.at("variant").as_string("variant") + "."),
      has_text(run.at("prompt").find("text_str")),
      crafted_detections(run.at("crafted_det").as_bool("crafted")),
      crafted_masks(run.at("crafted_trk").as_bool("crafted")),
      start(run.at("start").as_int("start")),
      run_(&run),
      side_(recording.at("low_res").as_int("side")) {
  text = has_text ? run.at("prompt").at("text_str").as_string("text") : "visual";
  apply(options, run.at("overrides"));
  for (const Json& output : run.at("outputs").as_array("outputs")) {
    const std::string& op = output.at("op").as_string("op");
    if (stages.empty() || !stages.back().is_propagation() || stages.back().op != op) stages.push_back({op, {}, {}});
    stages.back().outputs.push_back(&output);
    stages.back().frames.push_back(output.at("frame").as_int("frame"));
  }
}

ConceptPrompt ConceptRun::prompt() const {
  ConceptPrompt out = concept_of(text);
  out.has_text = has_text;
  const Json* boxes = run_->at("prompt").find("boxes_xywh");
  if (!boxes) return out;
  for (const Json& box : boxes->as_array("boxes")) {
    const auto xywh = floats(box);
    const double x = xywh[0], y = xywh[1];
    for (const double corner : {x, y, x + xywh[2], y + xywh[3]}) out.boxes.push_back(corner);
  }
  out.labels = ints(run_->at("prompt").at("box_labels"));
  return out;
}

ConceptPrompt ConceptRun::prompt_on(int64_t frame) const {
  const ConceptPrompt spec = prompt();
  if (frame != start && frame != start + 1) return {spec.ids, {}, {}};
  return {spec.ids, spec.boxes, spec.labels};
}

ConceptDetections ConceptRun::detections(const Clip& clip, FrameStore& frames, const GoldenTensors& tensors,
                                         int64_t frame) const {
  const auto device = clip.model().program().target().device;
  if (crafted_detections) {
    ConceptDetections crafted = sam3::test::crafted_detections(tensors.file(), frame, options);
    crafted.masks = crafted.masks.to(device);
    return crafted;
  }
  // The box belongs to its own frame, and without a text nothing is detected on others.
  if (!has_text && frame != start)
    return keep_detections({}, {}, at::empty({0, side_, side_}, at::TensorOptions(at::kFloat).device(device)), options);
  const ConceptPrompt prompt = prompt_on(frame);
  return detect_concepts(clip.model(), frames.detector(frame), {&prompt}, Sam3Rules(options), false, {})[0];
}

std::vector<int64_t> ConceptRun::removed_before(size_t stage) const {
  const Stage& now = stages[stage];
  if (now.op != "propagate_after_remove") return {};
  std::set<int64_t> before, left;
  for (size_t i = 0; i < now.frames.size(); i++) {
    const Json* last = nullptr;
    for (size_t s = 0; s < stage; s++)
      for (size_t o = 0; o < stages[s].frames.size(); o++)
        if (stages[s].frames[o] == now.frames[i]) last = stages[s].outputs[o];
    if (last)
      for (const int64_t id : ints(last->at("obj_ids"))) before.insert(id);
    for (const int64_t id : ints(now.outputs[i]->at("obj_ids"))) left.insert(id);
  }
  std::vector<int64_t> out;
  std::set_difference(before.begin(), before.end(), left.begin(), left.end(), std::back_inserter(out));
  return out;
}

std::string ConceptRun::tie_of(const Json& internal, const ConceptDetections& detections,
                               const GoldenTensors& tensors) const {
  const int64_t step = internal.at("i").as_int("i");
  const std::string at = "frame " + std::to_string(internal.at("frame").as_int("frame")) + ", ",
                    inner = key + "internal." + numbered(step) + ".";
  const std::string absent = tie_of_scores(at + "object score", tensors.at(inner + "trk_obj_scores"), {0});
  if (!absent.empty()) return absent;
  if (crafted_detections) return "";  // prescribed numbers are not rounded otherwise by another number of threads
  const std::string missed = tie_of_scores(at + "detection score", tensors.at(inner + "det_scores"),
                                           {options.score_threshold_detection, options.new_det_thresh});
  if (!missed.empty()) return missed;
  const Json& plan = internal.at("plan");
  std::vector<int64_t> remembered = ints(plan.at("new_det_fa_inds"));
  for (const int64_t id : ints(internal.at("reconditioned_calls")))
    remembered.push_back(plan.at("trk_id_to_max_iou_high_conf_det").at(std::to_string(id)).as_int("detection"));
  for (const int64_t detection : remembered) {
    if (detection >= detections.masks.size(0)) continue;  // ours found other things: the comparison says so
    std::string tie = tie_of_masks(detections.masks.narrow(0, detection, 1), 4 * side_);
    if (tie.empty() && tensors.has(inner + "det_masks")) {
      const at::Tensor recorded = tensors.at(inner + "det_masks").narrow(0, detection, 1);
      if (is_exact(recorded)) tie = tie_of_masks(recorded, 4 * side_, kNearTie);
    }
    if (!tie.empty()) return at + "detection " + std::to_string(detection) + ", " + tie;
  }
  return "";
}

std::vector<ConceptRun> concept_runs(const Json& recording) {
  std::vector<ConceptRun> runs;
  for (const Json& run : recording.at("runs").as_array("runs"))
    if (run.at("variant").as_string("variant") == "fp32" && !run.at("crafted_trk").as_bool("crafted"))
      runs.emplace_back(run, recording);
  return runs;
}

Click click_of(const std::string& op) {
  Click click{std::stoll(argument(op, "frame")), std::stoll(argument(op, "obj_id")), {}};
  for (const float x : numbers(argument(op, "points"))) click.points.points.push_back(x);
  for (const float x : numbers(argument(op, "point_labels"))) click.points.labels.push_back(static_cast<int64_t>(x));
  return click;
}

}  // namespace sam3::test
