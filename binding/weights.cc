#include "weights.h"

#include <string>
#include <vector>

#include "convert.h"
#include "environment.h"
#include "weights/weight_plan.h"

namespace binding {
namespace {

Napi::Number number(Napi::Env env, uint64_t value) {
  return Napi::Number::New(env, static_cast<double>(value));
}

Napi::Array groups(Napi::Env env, const std::vector<sam3::WeightGroup>& groups) {
  auto out = Napi::Array::New(env, groups.size());
  for (uint32_t i = 0; i < groups.size(); i++) {
    auto group = Napi::Object::New(env);
    group.Set("name", groups[i].name);
    group.Set("tensors", number(env, groups[i].count));
    if (groups[i].of > 0) group.Set("of", number(env, groups[i].of));
    group.Set("example", groups[i].example);
    out[i] = group;
  }
  return out;
}

Napi::Object counts(Napi::Env env, const std::map<std::string, size_t>& counts) {
  auto out = Napi::Object::New(env);
  for (const auto& [name, count] : counts) out.Set(name, number(env, count));
  return out;
}

const char* format_name(sam3::WeightFormat format) {
  switch (format) {
    case sam3::WeightFormat::safetensors: return "safetensors";
    case sam3::WeightFormat::index: return "index";
    case sam3::WeightFormat::torch_save: return "torch.save";
    case sam3::WeightFormat::torchscript: break;
  }
  return "torchscript";
}

Napi::Object inspect(Napi::Env env, const std::string& path, const std::string& names) {
  auto out = Napi::Object::New(env);
  const sam3::WeightFormat format = sam3::detect_format(path);
  out.Set("format", format_name(format));
  // It carries a program of its own, whose names are the names of its weights: there is nothing to recognise.
  if (format == sam3::WeightFormat::torchscript) return out;
  const auto source = sam3::open_weights(path);
  const sam3::WeightPlan plan = sam3::plan_weights(sam3::NameMap::load(names), *source);
  out.Set("tensors", number(env, source->entries().size()));
  if (plan.set.layout) out.Set("layout", std::string(plan.set.layout->title));
  out.Set("prefix", plan.set.prefix);
  out.Set("wrappers", counts(env, plan.wrappers));
  out.Set("dtypes", counts(env, plan.dtypes));
  out.Set("used", number(env, plan.used));
  out.Set("parameters", number(env, plan.parameters));
  out.Set("parts", to_js(env, plan.parts));
  out.Set("missing", groups(env, plan.missing));
  out.Set("ignored", groups(env, plan.ignored));
  out.Set("others", groups(env, plan.others));
  if (plan.problem) out.Set("problem", to_js(env, *plan.problem));
  return out;
}

}  // namespace

Napi::Value inspect_weights(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  try {
    return inspect(env, info[0].As<Napi::String>().Utf8Value(), info[1].As<Napi::String>().Utf8Value());
  } catch (const sam3::Error& error) {
    throw Napi::Error(env, to_js(env, error));
  }
}

}  // namespace binding
