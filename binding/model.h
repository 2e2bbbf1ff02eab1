#pragma once
#include <napi.h>

#include <memory>

#include "engine/engine.h"

namespace binding {

// new CancelToken(); cancel() removes the waiting call it was given to, or stops the running one after its current
// step.
class CancelToken : public Napi::ObjectWrap<CancelToken> {
 public:
  static Napi::Function define(Napi::Env env);
  explicit CancelToken(const Napi::CallbackInfo& info) : Napi::ObjectWrap<CancelToken>(info) {}
  // The token of an optional argument; remembers the engine that must be told.
  static sam3::Engine::Token take(const Napi::Value& value, const std::shared_ptr<sam3::Engine>& engine);

 private:
  void cancel(const Napi::CallbackInfo&);
  sam3::Engine::Token token_ = std::make_shared<sam3::CancelToken>();
  std::weak_ptr<sam3::Engine> engine_;
};

// Image features held by the engine; freed by dispose() or with the object.
class Image : public Napi::ObjectWrap<Image> {
 public:
  static Napi::Function define(Napi::Env env);
  static Napi::Value make(Napi::Env env, sam3::ImageFeaturesPtr features, std::weak_ptr<sam3::Engine> engine,
                          int64_t bytes);
  explicit Image(const Napi::CallbackInfo& info) : Napi::ObjectWrap<Image>(info) {}
  ~Image() override;
  // Throws ERR_DISPOSED, or ERR_INVALID_ARGUMENT when the image belongs to another model.
  const sam3::ImageFeaturesPtr& features(Napi::Env env, const std::shared_ptr<sam3::Engine>& engine) const;

 private:
  Napi::Value width(const Napi::CallbackInfo& info);
  Napi::Value height(const Napi::CallbackInfo& info);
  void dispose(const Napi::CallbackInfo& info);
  sam3::ImageFeaturesPtr features_;
  std::weak_ptr<sam3::Engine> engine_;
  int64_t width_ = 0, height_ = 0, bytes_ = 0;
};

class Model : public Napi::ObjectWrap<Model> {
 public:
  static Napi::Function define(Napi::Env env);
  // load(options, onProgress?): Promise<Model>
  static Napi::Value load(const Napi::CallbackInfo& info);
  explicit Model(const Napi::CallbackInfo& info) : Napi::ObjectWrap<Model>(info) {}
  ~Model() override;

 private:
  Napi::Value encode(const Napi::CallbackInfo& info);
  Napi::Value segment(const Napi::CallbackInfo& info);
  Napi::Value predict(const Napi::CallbackInfo& info);
  Napi::Value open_session(const Napi::CallbackInfo& info);
  Napi::Value stats(const Napi::CallbackInfo& info);
  Napi::Value dispose(const Napi::CallbackInfo& info);
  sam3::ImageInput image_input(const Napi::Value& value) const;
  std::shared_ptr<sam3::Engine> engine_;
  int64_t host_feature_bytes_ = 0;  // of one encoded image, an estimate for the garbage collector
};

}  // namespace binding
