#include "convert.h"

#include <cstring>

#include "environment.h"

namespace binding {
void bad_argument(Napi::Env env, const std::string& cause, const std::string& fix) {
  throw Napi::Error(env, to_js(env, sam3::Error(sam3::ERR_INVALID_ARGUMENT, cause, fix)));
}

std::string string_or(const Napi::Object& object, const char* key, const std::string& fallback) {
  const Napi::Value value = object.Get(key);
  return value.IsString() ? value.As<Napi::String>().Utf8Value() : fallback;
}

double number_or(const Napi::Object& object, const char* key, double fallback) {
  const Napi::Value value = object.Get(key);
  return value.IsNumber() ? value.As<Napi::Number>().DoubleValue() : fallback;
}

bool flag_or(const Napi::Object& object, const char* key, bool fallback) {
  const Napi::Value value = object.Get(key);
  return value.IsUndefined() ? fallback : value.ToBoolean().Value();
}

Napi::Float32Array floats(Napi::Env env, const std::vector<float>& values) {
  auto array = Napi::Float32Array::New(env, values.size());
  if (!values.empty()) std::memcpy(array.Data(), values.data(), values.size() * sizeof(float));
  return array;
}

namespace {

// The numbers of a typed array of this type as T; `name` is that type's in JavaScript.
template <class Array, class T>
std::vector<T> numbers(const Napi::Object& object, const char* key, napi_typedarray_type type, const char* name) {
  const Napi::Value value = object.Get(key);
  if (value.IsUndefined() || value.IsNull()) return {};
  if (!value.IsTypedArray() || value.As<Napi::TypedArray>().TypedArrayType() != type)
    bad_argument(object.Env(), std::string(key) + " must be " + name + ".");
  const auto array = value.As<Array>();
  return {array.Data(), array.Data() + array.ElementLength()};
}

// x y x y ... in pixels as fractions.
template <class Numbers>
void divide(Numbers& numbers, int64_t width, int64_t height) {
  for (size_t i = 0; i < numbers.size(); i++) numbers[i] /= static_cast<double>(i % 2 ? height : width);
}

}  // namespace

std::vector<float> float_array(const Napi::Object& object, const char* key) {
  return numbers<Napi::Float32Array, float>(object, key, napi_float32_array, "a Float32Array");
}

std::vector<double> double_array(const Napi::Object& object, const char* key) {
  return numbers<Napi::Float64Array, double>(object, key, napi_float64_array, "a Float64Array");
}

std::vector<int64_t> int_array(const Napi::Object& object, const char* key) {
  return numbers<Napi::Int32Array, int64_t>(object, key, napi_int32_array, "an Int32Array");
}

sam3::ProgramFiles program_files(const Napi::Object& options) {
  sam3::ProgramFiles files{string_or(options, "program", ""), string_or(options, "names", ""),
                           string_or(options, "weights", ""), flag_or(options, "forVideo", false)};
  if (files.weights.empty()) bad_argument(options.Env(), "load() needs weights.");
  return files;
}

sam3::EngineOptions engine_options(const Napi::Object& options) {
  sam3::EngineOptions out;
  out.model.device = string_or(options, "device", "auto");
  out.model.dtype = string_or(options, "dtype", "auto");
  out.model.input_size = static_cast<int64_t>(number_or(options, "inputSize", 0));
  out.model.max_batch = static_cast<int64_t>(number_or(options, "maxBatch", 0));
  out.model.memory_budget = static_cast<int64_t>(number_or(options, "memoryBudget", 0));
  out.threads = static_cast<int>(number_or(options, "threads", 0));
  out.queue_limit = static_cast<size_t>(number_or(options, "queueLimit", static_cast<double>(out.queue_limit)));
  return out;
}

sam3::RgbImage rgb_image(const Napi::Value& value) {
  const auto object = value.As<Napi::Object>();
  const Napi::Value data = object.Get("data");
  const auto width = static_cast<int64_t>(number_or(object, "width", 0)),
             height = static_cast<int64_t>(number_or(object, "height", 0));
  if (!data.IsTypedArray() || data.As<Napi::TypedArray>().TypedArrayType() != napi_uint8_array)
    bad_argument(value.Env(), "An image's data must be a Uint8Array.");
  const auto pixels = data.As<Napi::Uint8Array>();
  if (width <= 0 || height <= 0 || width > INT32_MAX || height > INT32_MAX ||
      static_cast<uint64_t>(width) * height * 3 != pixels.ElementLength())
    bad_argument(value.Env(), "An image's data must hold width * height * 3 bytes.");
  return {pixels.Data(), width, height};
}

sam3::ConceptPrompt concept_prompt(const Napi::Value& value, int64_t width, int64_t height) {
  const auto object = value.As<Napi::Object>();
  sam3::ConceptPrompt prompt;
  prompt.ids = int_array(object, "ids");
  prompt.has_text = flag_or(object, "hasText", prompt.has_text);
  prompt.boxes = double_array(object, "boxes");
  prompt.labels = int_array(object, "labels");
  if (prompt.boxes.size() != prompt.labels.size() * 4)
    bad_argument(value.Env(), "boxes must hold four numbers for each label.");
  divide(prompt.boxes, width, height);
  prompt.threshold = static_cast<float>(number_or(object, "threshold", prompt.threshold));
  prompt.max_instances = static_cast<int64_t>(number_or(object, "maxInstances", -1));
  prompt.semantic = flag_or(object, "semantic", false);
  prompt.logits = flag_or(object, "logits", false);
  return prompt;
}

sam3::ClickPrompt click_prompt(const Napi::Value& value, int64_t width, int64_t height) {
  const auto object = value.As<Napi::Object>();
  sam3::ClickPrompt prompt;
  prompt.points = double_array(object, "points");
  prompt.labels = int_array(object, "labels");
  if (prompt.points.size() != prompt.labels.size() * 2)
    bad_argument(value.Env(), "points must hold two numbers for each label.");
  divide(prompt.points, width, height);
  const auto box = double_array(object, "box");
  if (!box.empty()) {
    if (box.size() != 4) bad_argument(value.Env(), "box must hold four numbers.");
    prompt.box = {box[0], box[1], box[2], box[3]};
    divide(*prompt.box, width, height);
  }
  prompt.mask = float_array(object, "maskInput");
  if (prompt.labels.empty() && !prompt.box && prompt.mask.empty())
    bad_argument(value.Env(), "A prompt needs points, a box or a mask.");
  prompt.clear_old_points = flag_or(object, "clearOldPoints", prompt.clear_old_points);
  prompt.use_prev_mem_frame = flag_or(object, "usePrevMemFrame", prompt.use_prev_mem_frame);
  return prompt;
}

Napi::Object to_js(Napi::Env env, const sam3::WeightParts& parts) {
  auto out = Napi::Object::New(env);
  out.Set("detector", parts.detector);
  out.Set("clicks", parts.clicks);
  out.Set("video", parts.video);
  return out;
}

Napi::Object to_js(Napi::Env env, const sam3::ModelInfo& info) {
  auto out = Napi::Object::New(env);
  out.Set("device", info.device);
  out.Set("dtype", info.dtype);
  out.Set("inputSize", static_cast<double>(info.input_size));
  out.Set("maskSide", static_cast<double>(info.mask_side));
  out.Set("textContext", static_cast<double>(info.text_context));
  out.Set("featureBytes", static_cast<double>(info.feature_bytes));
  out.Set("parameters", static_cast<double>(info.parameters));
  out.Set("weightBytes", static_cast<double>(info.weight_bytes));
  auto sizes = Napi::Array::New(env, info.valid_input_sizes.size());
  for (uint32_t i = 0; i < sizes.Length(); i++) sizes[i] = static_cast<double>(info.valid_input_sizes[i]);
  out.Set("validInputSizes", sizes);
  out.Set("slots", static_cast<double>(info.slots));
  out.Set("parts", to_js(env, info.parts));
  if (!info.tokenizer_json.empty()) out.Set("tokenizer", info.tokenizer_json);
  return out;
}

Napi::Object to_js(Napi::Env env, const sam3::MaskSet& set) {
  const size_t n = set.masks.size();
  auto runs = Napi::Array::New(env, n);
  auto areas = Napi::Float64Array::New(env, n);
  auto boxes = Napi::Int32Array::New(env, n * 4);
  for (size_t i = 0; i < n; i++) {
    const auto& mask = set.masks[i];
    auto lengths = Napi::Uint32Array::New(env, mask.runs.size());
    std::memcpy(lengths.Data(), mask.runs.data(), mask.runs.size() * sizeof(uint32_t));
    runs[static_cast<uint32_t>(i)] = lengths;
    areas[i] = static_cast<double>(mask.area);
    for (size_t k = 0; k < 4; k++) boxes[i * 4 + k] = mask.box[k];
  }
  auto out = Napi::Object::New(env);
  out.Set("width", static_cast<double>(set.width));
  out.Set("height", static_cast<double>(set.height));
  out.Set("runs", runs);
  out.Set("areas", areas);
  out.Set("boxes", boxes);
  return out;
}

Napi::Object to_js(Napi::Env env, const sam3::Segmentation& result) {
  auto out = Napi::Object::New(env);
  out.Set("scores", floats(env, result.scores));
  out.Set("boxes", floats(env, result.boxes));
  out.Set("presence", static_cast<double>(result.presence));
  out.Set("masks", to_js(env, result.masks));
  if (result.logits_size > 0) {
    auto logits = Napi::Object::New(env);
    logits.Set("data", floats(env, result.logits));
    logits.Set("size", static_cast<double>(result.logits_size));
    out.Set("logits", logits);
  }
  if (result.semantic) out.Set("semantic", to_js(env, *result.semantic));
  return out;
}

Napi::Object to_js(Napi::Env env, const sam3::Prediction& result) {
  auto out = Napi::Object::New(env);
  out.Set("ious", floats(env, result.ious));
  out.Set("objectScores", floats(env, result.object_scores));
  out.Set("masks", to_js(env, result.masks));
  out.Set("lowRes", floats(env, result.low_res));
  out.Set("size", static_cast<double>(result.low_res_size));
  return out;
}

Napi::Object to_js(Napi::Env env, const sam3::EngineStats& stats) {
  auto out = Napi::Object::New(env);
  out.Set("queued", static_cast<double>(stats.queued));
  out.Set("images", static_cast<double>(stats.images));
  out.Set("textCache", static_cast<double>(stats.cached_texts));
  out.Set("sessions", static_cast<double>(stats.sessions));
  out.Set("batches", static_cast<double>(stats.batches));
  out.Set("calls", static_cast<double>(stats.calls));
  out.Set("imageBytes", static_cast<double>(stats.image_bytes));
  out.Set("uptime", stats.uptime);
  out.Set("deviceBusy", stats.device_busy);
  auto stages = Napi::Object::New(env);
  for (size_t i = 0; i < stats.stages.size(); i++) stages.Set(sam3::kStageNames[i], stats.stages[i]);
  out.Set("stages", stages);
  if (stats.device_memory) {
    auto memory = Napi::Object::New(env);
    memory.Set("allocated", static_cast<double>(stats.device_memory->allocated));
    memory.Set("reserved", static_cast<double>(stats.device_memory->reserved));
    out.Set("deviceMemory", memory);
  }
  return out;
}

Napi::Object to_js(Napi::Env env, const sam3::CallStages& of) {
  auto out = Napi::Object::New(env);
  out.Set("batch", static_cast<double>(of.batch));
  out.Set("calls", static_cast<double>(of.calls));
  out.Set("images", static_cast<double>(of.images));
  auto stages = Napi::Array::New(env, of.stages.size());
  for (uint32_t i = 0; i < stages.Length(); i++) {
    auto span = Napi::Object::New(env);
    span.Set("stage", sam3::kStageNames[static_cast<size_t>(of.stages[i].stage)]);
    span.Set("start", of.stages[i].begin);
    span.Set("end", of.stages[i].end);
    stages[i] = span;
  }
  out.Set("stages", stages);
  return out;
}

}  // namespace binding
