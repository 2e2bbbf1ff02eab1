#pragma once
#include <napi.h>

#include <functional>
#include <memory>
#include <type_traits>
#include <vector>

#include "engine/engine.h"

namespace binding {

// A promise under way, with the JavaScript values that must live until it settles (buffers that the engine thread
// reads, the model itself). Touched on the JavaScript thread only.
class Pending {
 public:
  Pending(Napi::Env env, std::initializer_list<Napi::Value> keep);
  // `listener`: told of the call's stages, if it is a function.
  void listen(const Napi::Value& listener);
  bool has_listener() const { return !listener_.IsEmpty(); }
  void tell(Napi::Value stages) { listener_.Call({stages}); }
  Napi::Promise promise() const { return deferred_.Promise(); }
  void resolve(Napi::Value value);
  void reject(Napi::Value error);

 private:
  void let_go();
  Napi::Promise::Deferred deferred_;
  std::vector<Napi::ObjectReference> kept_;
  Napi::FunctionReference listener_;
};

// What one JavaScript environment (the main thread, or a Worker) owns: the way back from engine threads, and the
// engines that must stop before the environment goes.
class Environment {
 public:
  static Environment& of(Napi::Env env) { return *env.GetInstanceData<Environment>(); }
  explicit Environment(Napi::Env env);

  // From any thread: runs `task` on the JavaScript thread, unless the environment is going away.
  using Task = std::function<void(Napi::Env)>;
  void run_in_js(Task task);

  // Keeps the event loop alive while promises are under way, and only then.
  void begin_call();
  void end_call();

  void add(std::shared_ptr<sam3::Engine> engine);
  void reap();      // forgets engines whose thread has ended
  void stop_all();  // ends every engine and waits for its thread

  Napi::FunctionReference model_class, image_class, token_class, session_class;

 private:
  static void call_js(napi_env env, napi_value, void* context, void* data);
  napi_env env_;
  napi_threadsafe_function to_js_ = nullptr;
  size_t calls_ = 0;
  std::vector<std::shared_ptr<sam3::Engine>> engines_;
};

Napi::Object to_js(Napi::Env env, const sam3::CallStages& stages);

// An Error with code, and with fix where there is one; the message is the cause alone.
Napi::Value to_js(Napi::Env env, const sam3::Error& error);

// Starts an engine call and returns its promise. `start` receives the callback to hand to the engine and, if it takes
// that, what is to be told of the call's stages for `listener`; `convert` makes the JavaScript value of the result.
template <class T, class Start, class Convert>
Napi::Promise call_engine(Napi::Env env, std::initializer_list<Napi::Value> keep, Start&& start, const Convert& convert,
                          const Napi::Value& listener = {}) {
  Environment& environment = Environment::of(env);
  auto pending = std::make_shared<Pending>(env, keep);
  pending->listen(listener);
  environment.begin_call();
  sam3::Callback<T> done([&environment, pending, convert](sam3::Outcome<T> outcome) {
    auto result = std::make_shared<sam3::Outcome<T>>(std::move(outcome));
    environment.run_in_js([&environment, pending, convert, result](Napi::Env env) {
      environment.end_call();
      try {
        if (auto* error = std::get_if<sam3::Error>(result.get()))
          pending->reject(to_js(env, *error));
        else
          pending->resolve(convert(env, std::move(std::get<T>(*result))));
      } catch (const Napi::Error& error) {  // a result that JavaScript cannot hold, an array that is too long for one
        pending->reject(error.Value());
      }
    });
  });
  if constexpr (std::is_invocable_v<Start, sam3::Callback<T>, sam3::OnStages>) {
    sam3::OnStages on_stages;
    if (pending->has_listener())
      on_stages = [&environment, pending](const sam3::CallStages& stages) {
        environment.run_in_js([pending, stages](Napi::Env env) { pending->tell(to_js(env, stages)); });
      };
    start(std::move(done), std::move(on_stages));
  } else {
    start(std::move(done));
  }
  return pending->promise();
}

}  // namespace binding
