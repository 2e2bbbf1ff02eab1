#include <algorithm>

#include "core/host_memory.h"
#include "engine/engine_job.h"

namespace sam3 {
namespace {

Error session_closed() {
  return Error(ERR_SESSION_CLOSED, "The session was closed.", "Start a new one with startSession().");
}

}  // namespace

struct Engine::OpenSessionJob : Job {
  OpenSessionJob(VideoOptions o, Token t, Callback<SessionPtr> d)
      : Job(std::move(t)), options(std::move(o)), done(std::move(d)) {}
  void run(Engine& engine) override {
    settle(done, [&] {
      auto session = std::make_shared<SessionHandle>();
      session->session_ = std::make_unique<VideoSession>(*engine.model_, options);
      engine.sessions_.push_back(session);
      engine.count_sessions();
      return session;
    });
  }
  void fail(const Error& error) override { done(error); }
  VideoOptions options;
  Callback<SessionPtr> done;
};

struct Engine::SessionJob : Job {
  SessionJob(SessionPtr s, Token t, SessionWork w, std::function<void(const Error&)> f)
      : Job(std::move(t)), session(std::move(s)), work(std::move(w)), refuse(std::move(f)) {}
  void run(Engine& engine) override {
    if (!session->session_) return refuse(session_closed());
    const auto others = engine.probe({token});
    work(*session->session_, CancelProbe([&] {
      if (session->closing_.load()) throw session_closed();
      others.check();
      return false;
    }));
  }
  void fail(const Error& error) override { refuse(error); }
  SessionPtr session;
  SessionWork work;
  std::function<void(const Error&)> refuse;
};

struct Engine::CloseSessionJob : Job {
  CloseSessionJob(SessionPtr s, std::function<void()> d) : Job(nullptr), session(std::move(s)), done(std::move(d)) {}
  void run(Engine& engine) override {
    engine.free_session(*session);
    if (done) done();
  }
  // Only a disposed model refuses it, which frees its sessions itself.
  void fail(const Error&) override {
    if (done) done();
  }
  SessionPtr session;
  std::function<void()> done;
};

void Engine::open_session(VideoOptions options, Token token, Callback<SessionPtr> done) {
  post(std::make_unique<OpenSessionJob>(std::move(options), std::move(token), std::move(done)));
}

void Engine::post_session_call(SessionPtr session, Token token, Queueing queueing, SessionWork run,
                               std::function<void(const Error&)> fail) {
  if (session->closing_.load()) return fail(session_closed());
  post(std::make_unique<SessionJob>(std::move(session), std::move(token), std::move(run), std::move(fail)), queueing);
}

void Engine::close_session(const SessionPtr& session, std::function<void()> done) {
  session->closing_.store(true);
  std::vector<std::unique_ptr<Job>> dropped;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (!freed_) {
      for (auto it = queue_.begin(); it != queue_.end();) {
        const auto* call = dynamic_cast<SessionJob*>(it->get());
        if (call && call->session == session) {
          dropped.push_back(std::move(*it));
          it = queue_.erase(it);
        } else {
          ++it;
        }
      }
      if (!stop_reason_)
        queue_.push_front(std::make_unique<CloseSessionJob>(session, std::move(done)));
      else if (done)
        on_disposed_.push_back(std::move(done));
      done = nullptr;
      work_waits_.store(true);
    }
  }
  wake_.notify_one();
  for (auto& job : dropped) job->fail(session_closed());
  if (done) done();
}

void Engine::count_sessions() {
  const std::lock_guard<std::mutex> lock(mutex_);
  stats_.sessions = sessions_.size();
}

void Engine::free_session(SessionHandle& session) {
  if (!session.session_) return;
  session.session_.reset();
  sessions_.erase(
      std::remove_if(sessions_.begin(), sessions_.end(), [&](const auto& held) { return held.get() == &session; }),
      sessions_.end());
  count_sessions();
  release_cached_memory(model_->program().target().device);
  release_host_memory();
}

}  // namespace sam3
