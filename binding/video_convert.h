#pragma once
#include <napi.h>

#include <optional>
#include <vector>

#include "engine/engine.h"

// Values of video sessions from JavaScript and back, as convert.h does it for images.
namespace binding {

sam3::VideoOptions video_options(const Napi::Object& options);
// The options of the engine's tables as { name, type: "boolean" | "whole" | "number", default }.
Napi::Array option_list(Napi::Env env);
std::optional<sam3::RgbImage> optional_image(const Napi::Value& value);
// A whole number from 0, as frames and objects are counted.
int64_t index_argument(const Napi::Value& value, const char* name);

Napi::Object to_js(Napi::Env env, sam3::FrameResult result, int64_t width, int64_t height);
Napi::Array to_js(Napi::Env env, std::vector<sam3::FrameResult> results, int64_t width, int64_t height);
Napi::Object to_js(Napi::Env env, const sam3::PropagationPlan& plan);
Napi::Object to_js(Napi::Env env, const sam3::VideoSession::Stats& stats);

}  // namespace binding
