#include "video/tracker/tracker_replay.h"

#include <ATen/Functions.h>
#include <doctest/doctest.h>

#include <algorithm>

#include "support/recorded_call.h"
#include "support/video_golden.h"

namespace sam3::test {
namespace {

ClickPrompt click_prompt(const std::string& call) {
  ClickPrompt input;
  for (const float x : numbers(argument(call, "points"))) input.points.push_back(x);
  for (const float x : numbers(argument(call, "labels"))) input.labels.push_back(static_cast<int64_t>(x));
  if (const auto box = numbers(argument(call, "box")); !box.empty()) input.box = {box[0], box[1], box[2], box[3]};
  input.clear_old_points = call.find("'clear_old_points': False") == std::string::npos;
  input.use_prev_mem_frame = call.find("'use_prev_mem_frame': True") != std::string::npos;
  return input;
}

ReplayStep parse(const std::string& call) {
  using Kind = ReplayStep::Kind;
  ReplayStep step{};
  const auto starts = [&](const char* name) { return call.rfind(name, 0) == 0; };
  if (const auto frame = argument(call, "frame"); !frame.empty()) step.frame = std::stoll(frame);
  if (const auto object = argument(call, "obj_id"); !object.empty()) step.object = std::stoll(object);
  if (starts("add_new_points_or_box")) {
    step.kind = Kind::points;
    step.points = click_prompt(call);
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

std::vector<ReplayRun> replay_runs(const Json& recording) {
  std::vector<ReplayRun> runs;
  for (const Json& recorded : recording.at("runs").as_array("runs")) {
    if (recorded.at("variant").as_string("variant") != "fp32") continue;
    ReplayRun run;
    run.name = recorded.at("name").as_string("name");
    run.key = run.name + ".fp32.";
    bool reverse = false;
    for (const Json& entry : recorded.at("steps").as_array("steps")) {
      ReplayStep step = parse(entry.at("op").as_string("op"));
      step.index = entry.at("step").as_int("step");
      if (step.kind == ReplayStep::Kind::preflight) reverse = step.reverse;
      if (step.kind == ReplayStep::Kind::track) {
        step.frame = entry.at("frame").as_int("frame");
        step.reverse = reverse;
      }
      step.object_ids = ints(entry.at("obj_ids"));
      if (const Json* updated = entry.find("updated_frames")) step.updated = ints(*updated);
      run.steps.push_back(std::move(step));
    }
    run.failed = is_text(recorded.at("error"));
    runs.push_back(std::move(run));
  }
  return runs;
}

Replay::Replay(const GoldenModel& golden, ImageModel& model, bool full_history) : model_(model) {
  const GoldenTensors tensors(golden, "tracker_video");
  const Json recording = golden.cases("tracker_video");
  const int64_t width = recording.at("video_width").as_int("width"),
                height = recording.at("video_height").as_int("height");
  images_ = tensors.at("frames_u8").permute({0, 2, 3, 1}).contiguous();
  masks_ = tensors.has("mask_inputs") ? tensors.at("mask_inputs") : at::zeros({0, height, width}, at::kByte);
  frames_ = std::make_unique<FrameStore>(model, FrameFilter::bicubic, full_history);
  start();
}

void Replay::start() {
  tracker_ = std::make_unique<BucketTracker>(model_, *frames_, TrackerOptions{}, masks_.size(2), masks_.size(1),
                                             images_.size(0));
}

void Replay::open(int64_t frame) {
  const at::Tensor image = images_[frame];
  const RgbImage raw{image.const_data_ptr<uint8_t>(), image.size(1), image.size(0)};
  frames_->open(frame, &raw, {});
}

BucketFrame Replay::stored(int64_t frame, int64_t object) {
  StageClock clock;
  TrackNetwork network(model_, clock);
  const TrackerOptions options;
  const TrackContext context{model_, *frames_, network, options, masks_.size(2), masks_.size(1), images_.size(0)};
  const auto& buckets = tracker_->buckets();
  return std::find_if(buckets.begin(), buckets.end(), [&](const MaskletBucket& one) { return one.contains(object); })
      ->on_frame(context, frame);
}

Replay::Answer Replay::run(const ReplayStep& step) {
  using Kind = ReplayStep::Kind;
  if (step.kind == Kind::points || step.kind == Kind::mask || step.kind == Kind::track) open(step.frame);
  switch (step.kind) {
    case Kind::points: return {{}, tracker_->add_points(step.frame, step.object, step.points)};
    case Kind::mask: {
      const at::Tensor mask =
          step.mask < 0 ? at::zeros({masks_.size(1), masks_.size(2)}, at::kByte) : masks_[step.mask];
      return {{}, tracker_->add_mask(step.frame, step.object, mask)};
    }
    case Kind::clear: return {{}, tracker_->clear_inputs(step.frame, step.object)};
    case Kind::remove: tracker_->remove_objects({step.object}); return {};
    case Kind::clear_all: start(); return {};
    case Kind::preflight: tracker_->preflight(); return {};
    case Kind::track: return {tracker_->propagate_some(step.frame, step.reverse, tracker_->object_ids()), {}};
  }
  return {};
}

}  // namespace sam3::test
