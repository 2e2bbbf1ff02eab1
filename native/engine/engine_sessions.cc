#include <algorithm>

#include "core/host_memory.h"
#include "engine/engine.h"

namespace sam3 {
namespace {

Error session_closed() {
  return Error(ERR_SESSION_CLOSED, "The session was closed.", "Start a new one with startSession().");
}

}  // namespace

void Engine::open_session(VideoOptions options, Token token, Callback<SessionPtr> done) {
  const auto open = [this, options = std::move(options)](const CancelProbe&, StageLog*) {
    auto session = std::make_shared<SessionHandle>();
    session->session_ = std::make_unique<VideoSession>(*model_, options);
    sessions_.push_back(session);
    count_sessions();
    return session;
  };
  post<SessionPtr>(std::move(token), std::move(done), 0, {}, open);
}

void Engine::post_session_call(SessionPtr session, Token token, Queueing queueing, SessionWork work,
                               std::function<void(const Error&)> fail) {
  if (session->closing_.load()) return fail(session_closed());
  const void* owner = session.get();
  auto run = [this, session = std::move(session), token, created = now_ms(), work = std::move(work), fail] {
    if (!session->session_) return fail(session_closed());
    const auto others = probe({token});
    BatchLog batch = begin_batch(0);
    {
      const auto stage = StageLog::on_device(batch.log.get(), Stage::video);
      work(*session->session_, CancelProbe([&] {
        if (session->closing_.load()) throw session_closed();
        others.check();
        return false;
      }));
    }
    end_batch(batch, {{created, {}}});
  };
  queue_.push(std::make_unique<Call>(std::move(token), std::move(run), std::move(fail), owner), queueing);
}

void Engine::close_session(const SessionPtr& session, std::function<void()> done) {
  session->closing_.store(true);
  const auto told = [done = std::move(done)] {
    if (done) done();
  };
  auto run = [this, session, told] {
    free_session(*session);
    told();
  };
  // Only a disposed model refuses it, which has freed its sessions itself.
  queue_.end(session.get(), session_closed(),
             std::make_unique<Call>(nullptr, std::move(run), [told](const Error&) { told(); }));
}

void Engine::count_sessions() {
  const std::lock_guard<std::mutex> lock(stats_mutex_);
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
