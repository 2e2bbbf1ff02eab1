#pragma once
#include <napi.h>

#include <string>
#include <vector>

#include "engine/engine.h"

// JavaScript values to engine types and back. lib/ has checked what users pass; what is checked here again is what
// would make the engine read outside a buffer.
namespace binding {

[[noreturn]] void bad_argument(Napi::Env env, const std::string& cause, const std::string& fix = {});

std::string string_or(const Napi::Object& object, const char* key, const std::string& fallback);
double number_or(const Napi::Object& object, const char* key, double fallback);
bool flag_or(const Napi::Object& object, const char* key, bool fallback);
// Empty where the key is missing.
std::vector<float> float_array(const Napi::Object& object, const char* key);
std::vector<double> double_array(const Napi::Object& object, const char* key);
std::vector<int64_t> int_array(const Napi::Object& object, const char* key);
Napi::Float32Array floats(Napi::Env env, const std::vector<float>& values);

sam3::ProgramFiles program_files(const Napi::Object& options);
sam3::EngineOptions engine_options(const Napi::Object& options);
sam3::RgbImage rgb_image(const Napi::Value& value);
// Coordinates are pixels of an image of width x height, which become fractions of it.
sam3::ConceptPrompt concept_prompt(const Napi::Value& value, int64_t width, int64_t height);
sam3::ClickPrompt click_prompt(const Napi::Value& value, int64_t width, int64_t height);

Napi::Object to_js(Napi::Env env, const sam3::WeightParts& parts);
Napi::Object to_js(Napi::Env env, const sam3::ModelInfo& info);
Napi::Object to_js(Napi::Env env, const sam3::MaskSet& masks);
Napi::Object to_js(Napi::Env env, const sam3::Segmentation& result);
Napi::Object to_js(Napi::Env env, const sam3::Prediction& result);
Napi::Object to_js(Napi::Env env, const sam3::EngineStats& stats);

}  // namespace binding
