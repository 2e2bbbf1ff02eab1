#include "video_convert.h"

#include <algorithm>
#include <cctype>
#include <cmath>
#include <string_view>
#include <type_traits>

#include "convert.h"

namespace binding {
namespace {

void read(const Napi::Object& object, const char* key, float& value) {
  value = static_cast<float>(number_or(object, key, value));
}
void read(const Napi::Object& object, const char* key, int64_t& value) {
  value = static_cast<int64_t>(number_or(object, key, static_cast<double>(value)));
}
void read(const Napi::Object& object, const char* key, bool& value) {
  value = flag_or(object, key, value);
}

// The name of an option in JavaScript: hotstartDelay for hotstart_delay.
std::string camel_case(std::string_view name) {
  std::string out;
  for (size_t i = 0; i < name.size(); i++) {
    const bool begins_word = i > 0 && name[i - 1] == '_';
    if (name[i] != '_') out += begins_word ? static_cast<char>(std::toupper(name[i])) : name[i];
  }
  return out;
}

}  // namespace

sam3::VideoOptions video_options(const Napi::Object& options) {
  sam3::VideoOptions out;
  if (flag_or(options, "multiplex", false)) out = sam3::VideoOptions::of_multiplex();
  for_each_option(out, [&](const char* name, auto& value) { read(options, camel_case(name).c_str(), value); });
  read(options, "fullHistory", out.full_history);
  read(options, "memoryLimit", out.memory_limit);
  read(options, "bicubic", out.bicubic);
  read(options, "width", out.width);
  read(options, "height", out.height);
  read(options, "numFrames", out.num_frames);
  read(options, "logits", out.logits);
  if (out.width <= 0 || out.height <= 0 || out.width > INT32_MAX || out.height > INT32_MAX)
    bad_argument(options.Env(), "A session needs the width and the height of the video.");
  return out;
}

Napi::Array option_list(Napi::Env env) {
  auto out = Napi::Array::New(env);
  sam3::VideoOptions defaults;
  for_each_option(defaults, [&]<class T>(const char* name, const T& value) {
    auto option = Napi::Object::New(env);
    option.Set("name", camel_case(name));
    option.Set("type", std::is_same_v<T, bool> ? "boolean" : std::is_integral_v<T> ? "whole" : "number");
    if constexpr (std::is_same_v<T, bool>)
      option.Set("default", value);
    else
      option.Set("default", static_cast<double>(value));
    out[out.Length()] = option;
  });
  return out;
}

std::optional<sam3::RgbImage> optional_image(const Napi::Value& value) {
  if (!value.IsObject()) return std::nullopt;
  return rgb_image(value);
}

int64_t index_argument(const Napi::Value& value, const char* name) {
  constexpr double kLargest = 9007199254740991;  // Number.MAX_SAFE_INTEGER
  const double number = value.IsNumber() ? value.As<Napi::Number>().DoubleValue() : -1;
  if (!(number >= 0 && number <= kLargest) || number != std::floor(number))
    bad_argument(value.Env(), std::string(name) + " must be a whole number from 0.");
  return static_cast<int64_t>(number);
}

Napi::Object to_js(Napi::Env env, sam3::FrameResult result, int64_t width, int64_t height) {
  const size_t n = result.objects.size();
  auto ids = Napi::Float64Array::New(env, n);
  auto concepts = Napi::Int32Array::New(env, n);
  auto scores = Napi::Float32Array::New(env, n), tracker_scores = Napi::Float32Array::New(env, n),
       object_logits = Napi::Float32Array::New(env, n);
  auto boxes = Napi::Int32Array::New(env, n * 4);
  auto logits = Napi::Array::New(env);
  sam3::MaskSet masks{width, height, {}};
  for (size_t i = 0; i < n; i++) {
    auto& object = result.objects[i];
    ids[i] = static_cast<double>(object.id);
    concepts[i] = static_cast<int32_t>(object.concept_index);
    scores[i] = object.score;
    tracker_scores[i] = object.tracker_score;
    object_logits[i] = object.object_logit;
    std::copy(object.box.begin(), object.box.end(), boxes.Data() + i * 4);
    masks.masks.push_back(std::move(object.mask));
    if (!object.logits.empty()) logits[static_cast<uint32_t>(i)] = floats(env, object.logits);
  }
  auto out = Napi::Object::New(env);
  out.Set("frame", static_cast<double>(result.frame));
  out.Set("ids", ids);
  out.Set("concepts", concepts);
  out.Set("scores", scores);
  out.Set("trackerScores", tracker_scores);
  out.Set("objectLogits", object_logits);
  out.Set("boxes", boxes);
  out.Set("masks", to_js(env, masks));
  out.Set("logits", logits);
  out.Set("tracked", static_cast<double>(result.tracked));
  out.Set("dropped", static_cast<double>(result.dropped));
  return out;
}

Napi::Array to_js(Napi::Env env, std::vector<sam3::FrameResult> results, int64_t width, int64_t height) {
  auto out = Napi::Array::New(env, results.size());
  for (uint32_t i = 0; i < results.size(); i++) out[i] = to_js(env, std::move(results[i]), width, height);
  return out;
}

Napi::Object to_js(Napi::Env env, const sam3::PropagationPlan& plan) {
  auto held = Napi::Float64Array::New(env, plan.held.size());
  std::copy(plan.held.begin(), plan.held.end(), held.Data());
  auto out = Napi::Object::New(env);
  out.Set("first", static_cast<double>(plan.first));
  if (plan.last == INT64_MAX)
    out.Set("last", env.Null());
  else
    out.Set("last", static_cast<double>(plan.last));
  out.Set("reverse", plan.reverse);
  out.Set("encodes", plan.encodes);
  out.Set("held", held);
  return out;
}

Napi::Object to_js(Napi::Env env, const sam3::VideoSession::Stats& stats) {
  auto times = Napi::Object::New(env);
  times.Set("encode", stats.times.encode);
  times.Set("detect", stats.times.detect);
  times.Set("attend", stats.times.attend);
  times.Set("decode", stats.times.decode);
  times.Set("memory", stats.times.memory);
  times.Set("associate", stats.times.associate);
  times.Set("output", stats.times.output);
  auto out = Napi::Object::New(env);
  out.Set("hostBytes", static_cast<double>(stats.host_bytes));
  out.Set("deviceBytes", static_cast<double>(stats.device_bytes));
  out.Set("frames", static_cast<double>(stats.frames));
  out.Set("objects", static_cast<double>(stats.objects));
  out.Set("times", times);
  return out;
}

}  // namespace binding
