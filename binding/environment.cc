#include "environment.h"

#include <algorithm>

namespace binding {

Pending::Pending(Napi::Env env, std::initializer_list<Napi::Value> keep)
    : deferred_(Napi::Promise::Deferred::New(env)) {
  for (const auto& value : keep) {
    if (!value.IsObject()) continue;
    kept_.push_back(Napi::Persistent(value.As<Napi::Object>()));
    // When the environment is torn down, references may not be deleted any more: Node frees them.
    kept_.back().SuppressDestruct();
  }
}

void Pending::listen(const Napi::Value& listener) {
  if (!listener.IsFunction()) return;
  listener_ = Napi::Persistent(listener.As<Napi::Function>());
  listener_.SuppressDestruct();
}

void Pending::let_go() {
  listener_.Reset();
  for (auto& reference : kept_) reference.Reset();
  kept_.clear();
}

void Pending::resolve(Napi::Value value) {
  let_go();
  deferred_.Resolve(value);
}

void Pending::reject(Napi::Value error) {
  let_go();
  deferred_.Reject(error);
}

Environment::Environment(Napi::Env env) : env_(env) {
  const Napi::HandleScope scope(env);
  // Unlimited: the engines' own queues bound how many results can be on the way.
  napi_create_threadsafe_function(env, nullptr, nullptr, Napi::String::New(env, "sam3-node"), 0, 1, nullptr, nullptr,
                                  this, call_js, &to_js_);
  napi_unref_threadsafe_function(env, to_js_);
  napi_add_env_cleanup_hook(
      env,
      [](void* self) {
        auto* environment = static_cast<Environment*>(self);
        environment->stop_all();
        napi_release_threadsafe_function(environment->to_js_, napi_tsfn_abort);
        for (auto* reference : {&environment->model_class, &environment->image_class, &environment->token_class,
                                &environment->session_class})
          reference->SuppressDestruct();
      },
      this);
}

void Environment::run_in_js(Task task) {
  auto* data = new Task(std::move(task));
  if (napi_call_threadsafe_function(to_js_, data, napi_tsfn_nonblocking) != napi_ok) delete data;
}

void Environment::call_js(napi_env env, napi_value, void*, void* data) {
  const std::unique_ptr<Task> task(static_cast<Task*>(data));
  if (!env) return;  // the environment is going away: nobody is left to answer
  const Napi::HandleScope scope(env);
  try {
    (*task)(Napi::Env(env));
  } catch (const Napi::Error&) {
    // JavaScript cannot run any more (a worker that is being terminated): nobody is left to answer either.
  }
}

void Environment::begin_call() {
  if (calls_++ == 0) napi_ref_threadsafe_function(env_, to_js_);
}

void Environment::end_call() {
  if (--calls_ == 0) napi_unref_threadsafe_function(env_, to_js_);
}

void Environment::add(std::shared_ptr<sam3::Engine> engine) {
  reap();
  engines_.push_back(std::move(engine));
}

void Environment::reap() {
  engines_.erase(
      std::remove_if(engines_.begin(), engines_.end(), [](const auto& engine) { return engine->finished(); }),
      engines_.end());
}

void Environment::stop_all() {
  // All are told first, so that several models end their current step side by side.
  for (const auto& engine : engines_)
    engine->dispose(sam3::Error(sam3::ERR_DISPOSED, "The process or worker is ending."));
  for (const auto& engine : engines_) engine->join();
  engines_.clear();
}

Napi::Value to_js(Napi::Env env, const sam3::Error& error) {
  Napi::Error value = Napi::Error::New(env, error.cause());
  value.Set("code", Napi::String::New(env, sam3::name_of(error.code())));
  if (!error.fix().empty()) value.Set("fix", Napi::String::New(env, error.fix()));
  return value.Value();
}

}  // namespace binding
