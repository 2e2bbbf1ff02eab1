#pragma once
#include <napi.h>

#include <memory>

#include "engine/engine.h"

namespace binding {

// A video session held by the engine; closed by close() or with the object. Every method gives a promise. Frames are
// { data, width, height } and are read on the engine thread; null where the session holds the frame.
class Session : public Napi::ObjectWrap<Session> {
 public:
  static Napi::Function define(Napi::Env env);
  static Napi::Value open(const std::shared_ptr<sam3::Engine>& engine, const Napi::Object& options,
                          const Napi::Value& token, const Napi::Value& model);
  explicit Session(const Napi::CallbackInfo& info) : Napi::ObjectWrap<Session>(info) {}
  ~Session() override;

 private:
  Napi::Value holds(const Napi::CallbackInfo& info);
  Napi::Value add_concept(const Napi::CallbackInfo& info);
  Napi::Value add_points(const Napi::CallbackInfo& info);
  Napi::Value add_mask(const Napi::CallbackInfo& info);
  Napi::Value clear_prompts(const Napi::CallbackInfo& info);
  Napi::Value remove_object(const Napi::CallbackInfo& info);
  Napi::Value remove_concept(const Napi::CallbackInfo& info);
  Napi::Value reset(const Napi::CallbackInfo& info);
  Napi::Value begin(const Napi::CallbackInfo& info);
  Napi::Value step(const Napi::CallbackInfo& info);
  Napi::Value finish(const Napi::CallbackInfo& info);
  Napi::Value abandon(const Napi::CallbackInfo& info);
  Napi::Value stats(const Napi::CallbackInfo& info);
  Napi::Value close(const Napi::CallbackInfo& info);

  // Runs `work` on the engine thread and converts what it gives.
  template <class T, class Work, class Convert>
  Napi::Value call(const Napi::CallbackInfo& info, const Napi::Value& token, Work work, Convert convert,
                   sam3::Engine::Queueing queueing = sam3::Engine::Queueing::limited);
  // For work without a result, which also runs where the queue is full.
  template <class Work>
  Napi::Value call(const Napi::CallbackInfo& info, Work work);

  std::shared_ptr<sam3::Engine> engine_;
  sam3::SessionPtr session_;
  int64_t width_ = 0, height_ = 0;  // of the video, pixels
};

}  // namespace binding
