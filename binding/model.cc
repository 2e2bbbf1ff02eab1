#include "model.h"

#include "convert.h"
#include "environment.h"
#include "session.h"

namespace binding {
namespace {

sam3::Error disposed() {
  return sam3::Error(sam3::ERR_DISPOSED, "The model was disposed.");
}

// Width and height, pixels.
std::pair<int64_t, int64_t> size_of(const sam3::ImageInput& image) {
  if (const auto* pixels = std::get_if<sam3::RgbImage>(&image)) return {pixels->width, pixels->height};
  const auto& features = *std::get<sam3::ImageFeaturesPtr>(image);
  return {features.width, features.height};
}

// Tells the garbage collector what lies outside its heap. The plain call, because the C++ wrapper throws, and this also
// runs in destructors while the environment goes away.
void adjust_external_memory(napi_env env, int64_t bytes) {
  int64_t now = 0;
  napi_adjust_external_memory(env, bytes, &now);
}

}  // namespace

Napi::Function Model::define(Napi::Env env) {
  return DefineClass(env, "NativeModel",
                     {InstanceMethod<&Model::encode>("encode"), InstanceMethod<&Model::segment>("segment"),
                      InstanceMethod<&Model::predict>("predict"), InstanceMethod<&Model::open_session>("openSession"),
                      InstanceMethod<&Model::stats>("stats"), InstanceMethod<&Model::dispose>("dispose")});
}

Model::~Model() {
  // Not joined here: the engine thread may be in a long step, and the environment joins it later.
  if (engine_) engine_->dispose(disposed());
}

Napi::Value Model::load(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const auto options = info[0].As<Napi::Object>();
  auto files = program_files(options);
  auto engine_settings = engine_options(options);
  Environment& environment = Environment::of(env);

  std::function<void(uint64_t, uint64_t)> progress;
  if (info[1].IsFunction()) {
    auto listener = std::make_shared<Napi::FunctionReference>(Napi::Persistent(info[1].As<Napi::Function>()));
    listener->SuppressDestruct();
    progress = [&environment, listener, last = -1](uint64_t done, uint64_t total) mutable {
      const int percent = total ? static_cast<int>(done * 100 / total) : 100;
      if (percent == last) return;  // a thousand tensors, but a hundred events
      last = percent;
      environment.run_in_js([listener, done, total](Napi::Env env) {
        listener->Call(
            {Napi::Number::New(env, static_cast<double>(done)), Napi::Number::New(env, static_cast<double>(total))});
        if (done == total) listener->Reset();
      });
    };
  }

  // Weak, or the engine's own callback would keep it alive.
  auto holder = std::make_shared<std::weak_ptr<sam3::Engine>>();
  return call_engine<sam3::ModelInfo>(
      env, {},
      [&](sam3::Callback<sam3::ModelInfo> done) {
        auto engine =
            sam3::Engine::start(std::move(files), std::move(engine_settings), std::move(progress), std::move(done));
        *holder = engine;
        environment.add(std::move(engine));
      },
      [holder](Napi::Env env, const sam3::ModelInfo& info) {
        const auto object = Environment::of(env).model_class.New({});
        auto* model = Model::Unwrap(object);
        model->engine_ = holder->lock();
        model->host_feature_bytes_ = info.device == "cpu" ? info.feature_bytes : 0;
        object.Set("info", to_js(env, info));
        return Napi::Value(object);
      });
}

sam3::ImageInput Model::image_input(const Napi::Value& value) const {
  if (!value.IsObject()) bad_argument(value.Env(), "An image is needed.");
  const auto object = value.As<Napi::Object>();
  if (object.InstanceOf(Environment::of(value.Env()).image_class.Value()))
    return Image::Unwrap(object)->features(value.Env(), engine_);
  return rgb_image(value);
}

Napi::Value Model::encode(const Napi::CallbackInfo& info) {
  const auto list = info[0].As<Napi::Array>();
  std::vector<sam3::RgbImage> images;
  for (uint32_t i = 0; i < list.Length(); i++) images.push_back(rgb_image(list.Get(i)));
  return call_engine<std::vector<sam3::ImageFeaturesPtr>>(
      info.Env(), {info.This(), list, info[1]},
      [&](sam3::Callback<std::vector<sam3::ImageFeaturesPtr>> done, sam3::OnStages on_stages) {
        engine_->encode(std::move(images), CancelToken::take(info[1], engine_), std::move(done), std::move(on_stages));
      },
      [weak = std::weak_ptr<sam3::Engine>(engine_), bytes = host_feature_bytes_](
          Napi::Env env, std::vector<sam3::ImageFeaturesPtr> features) {
        auto out = Napi::Array::New(env, features.size());
        for (uint32_t i = 0; i < features.size(); i++) out[i] = Image::make(env, std::move(features[i]), weak, bytes);
        return Napi::Value(out);
      },
      info[2]);
}

Napi::Value Model::segment(const Napi::CallbackInfo& info) {
  using Results = std::vector<std::vector<sam3::Segmentation>>;
  const auto list = info[0].As<Napi::Array>();
  std::vector<sam3::SegmentItem> items;
  for (uint32_t i = 0; i < list.Length(); i++) {
    const auto object = Napi::Value(list.Get(i)).As<Napi::Object>();
    sam3::SegmentItem item{image_input(object.Get("image")), {}};
    const auto [width, height] = size_of(item.image);
    const auto prompts = object.Get("prompts").As<Napi::Array>();
    for (uint32_t p = 0; p < prompts.Length(); p++)
      item.prompts.push_back(concept_prompt(prompts.Get(p), width, height));
    items.push_back(std::move(item));
  }
  return call_engine<Results>(
      info.Env(), {info.This(), list, info[1]},
      [&](sam3::Callback<Results> done, sam3::OnStages on_stages) {
        engine_->segment(std::move(items), CancelToken::take(info[1], engine_), std::move(done), std::move(on_stages));
      },
      [](Napi::Env env, Results results) {
        auto out = Napi::Array::New(env, results.size());
        for (uint32_t i = 0; i < results.size(); i++) {
          auto row = Napi::Array::New(env, results[i].size());
          for (uint32_t p = 0; p < results[i].size(); p++) row[p] = to_js(env, results[i][p]);
          out[i] = row;
        }
        return Napi::Value(out);
      },
      info[2]);
}

Napi::Value Model::predict(const Napi::CallbackInfo& info) {
  auto image = image_input(info[0]);
  const auto list = info[1].As<Napi::Array>();
  const auto [width, height] = size_of(image);
  std::vector<sam3::ClickPrompt> prompts;
  for (uint32_t i = 0; i < list.Length(); i++) prompts.push_back(click_prompt(list.Get(i), width, height));
  const bool multimask = flag_or(info[2].As<Napi::Object>(), "multimask", true);
  return call_engine<sam3::Prediction>(
      info.Env(), {info.This(), info[0], info[3]},
      [&](sam3::Callback<sam3::Prediction> done, sam3::OnStages on_stages) {
        engine_->predict(std::move(image), std::move(prompts), multimask, CancelToken::take(info[3], engine_),
                         std::move(done), std::move(on_stages));
      },
      [](Napi::Env env, const sam3::Prediction& result) { return Napi::Value(to_js(env, result)); }, info[4]);
}

// openSession(options, token?): Promise<NativeSession>
Napi::Value Model::open_session(const Napi::CallbackInfo& info) {
  return Session::open(engine_, info[0].As<Napi::Object>(), info[1], info.This());
}

Napi::Value Model::stats(const Napi::CallbackInfo& info) {
  return to_js(info.Env(), engine_->stats());
}

Napi::Value Model::dispose(const Napi::CallbackInfo& info) {
  struct Freed {};
  return call_engine<Freed>(
      info.Env(), {info.This()},
      [&](const sam3::Callback<Freed>& done) { engine_->dispose(disposed(), [done] { done(Freed{}); }); },
      [](Napi::Env env, Freed) {
        Environment::of(env).reap();
        return env.Undefined();
      });
}

Napi::Function Image::define(Napi::Env env) {
  return DefineClass(env, "NativeImage",
                     {InstanceAccessor<&Image::width>("width"), InstanceAccessor<&Image::height>("height"),
                      InstanceMethod<&Image::dispose>("dispose")});
}

Napi::Value Image::make(Napi::Env env, sam3::ImageFeaturesPtr features, std::weak_ptr<sam3::Engine> engine,
                        int64_t bytes) {
  const auto object = Environment::of(env).image_class.New({});
  auto* image = Image::Unwrap(object);
  image->width_ = features->width;
  image->height_ = features->height;
  image->features_ = std::move(features);
  image->engine_ = std::move(engine);
  image->bytes_ = bytes;
  adjust_external_memory(env, bytes);
  return object;
}

Image::~Image() {
  if (features_) adjust_external_memory(Env(), -bytes_);
}

const sam3::ImageFeaturesPtr& Image::features(Napi::Env env, const std::shared_ptr<sam3::Engine>& engine) const {
  if (!features_)
    throw Napi::Error(env, to_js(env, sam3::Error(sam3::ERR_DISPOSED, "This image was disposed; encode it again.")));
  if (engine_.lock() != engine)
    bad_argument(env, "This image was encoded by another model.", "Encode it with the model that is to use it.");
  return features_;
}

Napi::Value Image::width(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), static_cast<double>(width_));
}
Napi::Value Image::height(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), static_cast<double>(height_));
}

void Image::dispose(const Napi::CallbackInfo& info) {
  if (!features_) return;
  features_.reset();  // a call that already holds the features finishes with them
  adjust_external_memory(info.Env(), -bytes_);
}

Napi::Function CancelToken::define(Napi::Env env) {
  return DefineClass(env, "CancelToken", {InstanceMethod<&CancelToken::cancel>("cancel")});
}

sam3::Engine::Token CancelToken::take(const Napi::Value& value, const std::shared_ptr<sam3::Engine>& engine) {
  if (!value.IsObject()) return nullptr;
  const auto object = value.As<Napi::Object>();
  if (!object.InstanceOf(Environment::of(value.Env()).token_class.Value()))
    bad_argument(value.Env(), "The token must be a CancelToken.");
  auto* self = CancelToken::Unwrap(object);
  self->engine_ = engine;
  return self->token_;
}

void CancelToken::cancel(const Napi::CallbackInfo&) {
  token_->cancel();
  if (const auto engine = engine_.lock()) engine->drop_cancelled();
}

}  // namespace binding
