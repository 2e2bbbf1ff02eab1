#include "tracker_replay.h"

#include <ATen/Functions.h>
#include <doctest/doctest.h>

#include <regex>

#include "video_golden.h"

namespace sam3::test {
namespace {

// What follows `name=` in a recorded call, up to the comma or bracket that ends it; empty where it is absent or None.
std::string argument(const std::string& call, const std::string& name) {
  const size_t found = call.find(name + "=");
  if (found == std::string::npos) return "";
  const size_t begin = found + name.size() + 1;
  int depth = 0;
  size_t end = begin;
  for (; end < call.size(); end++) {
    if (call[end] == '[') depth++;
    if (call[end] == ']') depth--;
    if (depth < 0 || (depth == 0 && (call[end] == ',' || call[end] == ')'))) break;
  }
  const std::string text = call.substr(begin, end - begin);
  return text == "None" ? "" : text;
}

std::vector<float> numbers(const std::string& text) {
  std::vector<float> out;
  static const std::regex number("-?[0-9.]+(e-?[0-9]+)?");
  for (std::sregex_iterator it(text.begin(), text.end(), number), end; it != end; ++it)
    out.push_back(std::stof(it->str()));
  return out;
}

PointInput point_input(const std::string& call, int64_t input_size) {
  PointInput input;
  const auto scale = static_cast<float>(input_size);
  for (const float x : numbers(argument(call, "points"))) input.points.push_back(x * scale);
  for (const float x : numbers(argument(call, "labels"))) input.labels.push_back(static_cast<int64_t>(x));
  if (const auto box = numbers(argument(call, "box")); !box.empty())
    input.box = {box[0] * scale, box[1] * scale, box[2] * scale, box[3] * scale};
  input.clear_old_points = call.find("'clear_old_points': False") == std::string::npos;
  input.use_prev_mem_frame = call.find("'use_prev_mem_frame': True") != std::string::npos;
  return input;
}

ReplayStep parse(const std::string& call, int64_t input_size) {
  using Kind = ReplayStep::Kind;
  ReplayStep step{};
  const auto starts = [&](const char* name) { return call.rfind(name, 0) == 0; };
  if (const auto frame = argument(call, "frame"); !frame.empty()) step.frame = std::stoll(frame);
  if (const auto object = argument(call, "obj_id"); !object.empty()) step.object = std::stoll(object);
  if (starts("add_new_points_or_box")) {
    step.kind = Kind::points;
    step.points = point_input(call, input_size);
  } else if (starts("add_new_mask")) {
    step.kind = Kind::mask;
    const auto at = call.find("mask_inputs[");
    if (at != std::string::npos) step.mask = std::stoll(call.substr(at + 12));
  } else if (starts("clear_all_points_in_frame")) {
    step.kind = Kind::clear;
  } else if (starts("clear_all_points_in_video")) {
    step.kind = Kind::clear_all;
  } else if (starts("remove_object")) {
    step.kind = Kind::remove;
  } else if (starts("propagate_in_video")) {
    step.kind = Kind::preflight;
    step.reverse = argument(call, "reverse") == "True";
  } else {
    REQUIRE_MESSAGE(call == "propagate", call);
    step.kind = Kind::track;
  }
  return step;
}

}  // namespace

std::vector<ReplayRun> replay_runs(const GoldenModel& golden, int64_t input_size) {
  std::vector<ReplayRun> runs;
  const Json recording = golden_json(golden.model, "tracker_video");
  for (const Json& recorded : recording.at("runs").as_array("runs")) {
    if (recorded.at("variant").as_string("variant") != "fp32") continue;
    ReplayRun run;
    run.name = recorded.at("name").as_string("name");
    run.key = run.name + ".fp32.";
    bool reverse = false;
    for (const Json& entry : recorded.at("steps").as_array("steps")) {
      ReplayStep step = parse(entry.at("op").as_string("op"), input_size);
      step.index = entry.at("step").as_int("step");
      if (step.kind == ReplayStep::Kind::preflight) reverse = step.reverse;
      if (step.kind == ReplayStep::Kind::track) {
        step.frame = entry.at("frame").as_int("frame");
        step.reverse = reverse;
      }
      step.object_ids = ints(entry.at("obj_ids"));
      run.steps.push_back(std::move(step));
    }
    run.failed = run.name == "clear_before_propagation_error";
    runs.push_back(std::move(run));
  }
  return runs;
}

std::unique_ptr<ImageModel> load_golden(const GoldenModel& golden) {
  const ProgramFiles files{golden.program + "/program.pt", golden.program + "/names.json",
                           golden.model + "/model.safetensors"};
  ImageModelOptions options;
  options.device = "cpu";
  options.dtype = "float32";
  return std::make_unique<ImageModel>(files, options, std::function<void(uint64_t, uint64_t)>{});
}

Replay::Replay(const GoldenModel& golden, ImageModel& model, bool full_history, TrackerOptions options,
               int64_t num_frames) {
  const GoldenTensors tensors(golden, "tracker_video");
  images_ = tensors.at("frames_u8").permute({0, 2, 3, 1}).contiguous();
  masks_ = tensors.at("mask_inputs");
  frames_ = std::make_unique<FrameStore>(model, FrameFilter::bicubic, full_history);
  tracker_ = std::make_unique<BucketTracker>(model, *frames_, options, 160, 120, num_frames);
}

void Replay::open(int64_t frame) {
  const at::Tensor image = images_[frame % images_.size(0)];
  const RawImage raw{image.const_data_ptr<uint8_t>(), image.size(1), image.size(0)};
  frames_->open(frame, &raw, {});
}

Replay::Answer Replay::run(const ReplayStep& step) {
  using Kind = ReplayStep::Kind;
  if (step.kind == Kind::points || step.kind == Kind::mask || step.kind == Kind::track) open(step.frame);
  switch (step.kind) {
    case Kind::points: return {{}, tracker_->add_points(step.frame, step.object, step.points)};
    case Kind::mask: {
      const at::Tensor mask = step.mask < 0 ? at::zeros_like(masks_[0]) : masks_[step.mask];
      return {{}, tracker_->add_mask(step.frame, step.object, mask)};
    }
    case Kind::clear: return {{}, tracker_->clear_inputs(step.frame, step.object)};
    case Kind::remove: tracker_->remove_objects({step.object}); return {};
    case Kind::clear_all: tracker_->clear(); return {};
    case Kind::preflight: tracker_->preflight(); return {};
    case Kind::track: return {tracker_->propagate_some(step.frame, step.reverse, tracker_->object_ids()), {}};
  }
  return {};
}

}  // namespace sam3::test
