#include "session.h"

#include "convert.h"
#include "environment.h"
#include "model.h"
#include "video_convert.h"

namespace binding {
namespace {

using sam3::CancelProbe;
using sam3::FrameResult;
using sam3::VideoSession;
using FrameResults = std::vector<FrameResult>;

struct Nothing {};

const sam3::RgbImage* pointer(const std::optional<sam3::RgbImage>& image) {
  return image ? &*image : nullptr;
}

}  // namespace

Napi::Function Session::define(Napi::Env env) {
  return DefineClass(
      env, "NativeSession",
      {InstanceMethod<&Session::holds>("holds"), InstanceMethod<&Session::add_concept>("addConcept"),
       InstanceMethod<&Session::add_points>("addPoints"), InstanceMethod<&Session::add_mask>("addMask"),
       InstanceMethod<&Session::clear_prompts>("clearPrompts"), InstanceMethod<&Session::remove_object>("removeObject"),
       InstanceMethod<&Session::remove_concept>("removeConcept"), InstanceMethod<&Session::reset>("reset"),
       InstanceMethod<&Session::begin>("begin"), InstanceMethod<&Session::step>("step"),
       InstanceMethod<&Session::finish>("finish"), InstanceMethod<&Session::abandon>("abandon"),
       InstanceMethod<&Session::stats>("stats"), InstanceMethod<&Session::close>("close")});
}

Session::~Session() {
  if (session_) engine_->close_session(session_, {});
}

Napi::Value Session::open(const std::shared_ptr<sam3::Engine>& engine, const Napi::Object& options,
                          const Napi::Value& token, const Napi::Value& model) {
  auto settings = video_options(options);
  const int64_t width = settings.width, height = settings.height;
  return call_engine<sam3::SessionPtr>(
      options.Env(), {model, token},
      [&](auto done) { engine->open_session(std::move(settings), CancelToken::take(token, engine), std::move(done)); },
      [weak = std::weak_ptr<sam3::Engine>(engine), width, height](Napi::Env env, sam3::SessionPtr handle) {
        const auto object = Environment::of(env).session_class.New({});
        auto* session = Session::Unwrap(object);
        session->engine_ = weak.lock();  // kept by the model, which the call keeps
        session->session_ = std::move(handle);
        session->width_ = width;
        session->height_ = height;
        return Napi::Value(object);
      });
}

template <class T, class Work, class Convert>
Napi::Value Session::call(const Napi::CallbackInfo& info, const Napi::Value& token, Work work, Convert convert,
                          sam3::Engine::Queueing queueing) {
  // All arguments are kept: among them are the pixels that the engine thread reads.
  return call_engine<T>(
      info.Env(), {info.This(), info[0], info[1], info[2], info[3], info[4]},
      [&](auto done) {
        engine_->in_session<T>(session_, CancelToken::take(token, engine_), queueing, std::move(work), std::move(done));
      },
      std::move(convert));
}

template <class Work>
Napi::Value Session::call(const Napi::CallbackInfo& info, Work work) {
  return call<Nothing>(
      info, info.Env().Undefined(),
      [work = std::move(work)](VideoSession& session, const CancelProbe&) {
        work(session);
        return Nothing{};
      },
      [](Napi::Env env, Nothing) { return env.Undefined(); }, sam3::Engine::Queueing::unlimited);
}

// holds(frame): Promise<boolean>
Napi::Value Session::holds(const Napi::CallbackInfo& info) {
  return call<bool>(
      info, info.Env().Undefined(),
      [frame = index_argument(info[0], "frame")](VideoSession& session, const CancelProbe&) {
        return session.holds(frame);
      },
      [](Napi::Env env, bool held) { return Napi::Value(Napi::Boolean::New(env, held)); });
}

// addConcept(frame, image | null, prompt, token?): Promise<{ index, result }>
Napi::Value Session::add_concept(const Napi::CallbackInfo& info) {
  using Added = std::pair<int64_t, FrameResult>;
  return call<Added>(
      info, info[3],
      [frame = index_argument(info[0], "frame"), image = optional_image(info[1]),
       prompt = concept_prompt(info[2], width_, height_)](VideoSession& session, const CancelProbe& cancel) {
        return session.add_concept(frame, pointer(image), prompt, cancel);
      },
      [width = width_, height = height_](Napi::Env env, Added added) {
        auto out = Napi::Object::New(env);
        out.Set("index", static_cast<double>(added.first));
        out.Set("result", to_js(env, std::move(added.second), width, height));
        return Napi::Value(out);
      });
}

// addPoints(frame, image | null, object, prompt, token?): Promise<FrameResult>
Napi::Value Session::add_points(const Napi::CallbackInfo& info) {
  return call<FrameResult>(
      info, info[4],
      [frame = index_argument(info[0], "frame"), image = optional_image(info[1]),
       object = index_argument(info[2], "object"),
       prompt = click_prompt(info[3], width_, height_)](VideoSession& session, const CancelProbe& cancel) {
        return session.add_points(frame, pointer(image), object, prompt, cancel);
      },
      [width = width_, height = height_](Napi::Env env, FrameResult result) {
        return Napi::Value(to_js(env, std::move(result), width, height));
      });
}

// addMask(frame, image | null, object, mask, token?): Promise<FrameResult>
Napi::Value Session::add_mask(const Napi::CallbackInfo& info) {
  const Napi::Value mask = info[3];
  if (!mask.IsTypedArray() || mask.As<Napi::TypedArray>().TypedArrayType() != napi_uint8_array ||
      mask.As<Napi::TypedArray>().ElementLength() != static_cast<size_t>(width_) * static_cast<size_t>(height_))
    bad_argument(info.Env(), "mask must be a Uint8Array of the video's width * height.");
  return call<FrameResult>(
      info, info[4],
      [frame = index_argument(info[0], "frame"), image = optional_image(info[1]),
       object = index_argument(info[2], "object"),
       pixels = mask.As<Napi::Uint8Array>().Data()](VideoSession& session, const CancelProbe& cancel) {
        return session.add_mask(frame, pointer(image), object, pixels, cancel);
      },
      [width = width_, height = height_](Napi::Env env, FrameResult result) {
        return Napi::Value(to_js(env, std::move(result), width, height));
      });
}

// clearPrompts(frame, image | null, object, token?): Promise<FrameResult>
Napi::Value Session::clear_prompts(const Napi::CallbackInfo& info) {
  return call<FrameResult>(
      info, info[3],
      [frame = index_argument(info[0], "frame"), image = optional_image(info[1]),
       object = index_argument(info[2], "object")](VideoSession& session, const CancelProbe& cancel) {
        return session.clear_prompts(frame, pointer(image), object, cancel);
      },
      [width = width_, height = height_](Napi::Env env, FrameResult result) {
        return Napi::Value(to_js(env, std::move(result), width, height));
      });
}

Napi::Value Session::remove_object(const Napi::CallbackInfo& info) {
  return call(info, [object = index_argument(info[0], "object")](VideoSession& s) { s.remove_object(object); });
}

Napi::Value Session::remove_concept(const Napi::CallbackInfo& info) {
  return call(info, [index = index_argument(info[0], "index")](VideoSession& s) { s.remove_concept(index); });
}

Napi::Value Session::reset(const Napi::CallbackInfo& info) {
  return call(info, [](VideoSession& session) { session.reset(); });
}

// begin({ reverse, start?, maxFrames? }): Promise<{ first, last | null, reverse, encodes, held }>
Napi::Value Session::begin(const Napi::CallbackInfo& info) {
  const auto request = info[0].As<Napi::Object>();
  const auto direction = flag_or(request, "reverse", false) ? sam3::Direction::backward : sam3::Direction::forward;
  const auto optional = [&](const char* key) -> std::optional<int64_t> {
    const Napi::Value value = request.Get(key);
    if (value.IsUndefined()) return std::nullopt;
    return index_argument(value, key);
  };
  return call<sam3::PropagationPlan>(
      info, info.Env().Undefined(),
      [direction, start = optional("start"), max_frames = optional("maxFrames")](
          VideoSession& session, const CancelProbe&) { return session.begin(direction, start, max_frames); },
      [](Napi::Env env, const sam3::PropagationPlan& plan) { return Napi::Value(to_js(env, plan)); });
}

// step(frame, image | null, token?): Promise<FrameResult[]>
Napi::Value Session::step(const Napi::CallbackInfo& info) {
  return call<FrameResults>(
      info, info[2],
      [frame = index_argument(info[0], "frame"), image = optional_image(info[1])](
          VideoSession& session, const CancelProbe& cancel) { return session.step(frame, pointer(image), cancel); },
      [width = width_, height = height_](Napi::Env env, FrameResults results) {
        return Napi::Value(to_js(env, std::move(results), width, height));
      });
}

// finish(): Promise<FrameResult[]>
Napi::Value Session::finish(const Napi::CallbackInfo& info) {
  return call<FrameResults>(
      info, info.Env().Undefined(), [](VideoSession& session, const CancelProbe&) { return session.finish(); },
      [width = width_, height = height_](Napi::Env env, FrameResults results) {
        return Napi::Value(to_js(env, std::move(results), width, height));
      });
}

Napi::Value Session::abandon(const Napi::CallbackInfo& info) {
  return call(info, [](VideoSession& session) { session.abandon(); });
}

Napi::Value Session::stats(const Napi::CallbackInfo& info) {
  return call<VideoSession::Stats>(
      info, info.Env().Undefined(), [](VideoSession& session, const CancelProbe&) { return session.stats(); },
      [](Napi::Env env, const VideoSession::Stats& stats) { return Napi::Value(to_js(env, stats)); });
}

// close(): Promise<void>, also while calls run; they end with ERR_SESSION_CLOSED
Napi::Value Session::close(const Napi::CallbackInfo& info) {
  return call_engine<Nothing>(
      info.Env(), {info.This()},
      [&](const sam3::Callback<Nothing>& done) { engine_->close_session(session_, [done] { done(Nothing{}); }); },
      [](Napi::Env env, Nothing) { return env.Undefined(); });
}

}  // namespace binding
