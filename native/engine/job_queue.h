#pragma once
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "core/cancel.h"
#include "core/error.h"

namespace sam3 {

// One call. It either runs, on the queue's thread, or fails, on any: once.
class Job {
 public:
  explicit Job(CancelTokenPtr token) : token_(std::move(token)) {}
  virtual ~Job() = default;
  virtual void run() = 0;
  virtual void fail(const Error& reason) = 0;
  // How much of a batch it fills. Neighbours with a share may be taken together; 0: it runs alone.
  virtual int64_t share() const { return 0; }
  // On whose behalf it runs, for JobQueue::end().
  virtual const void* owner() const { return nullptr; }

  const CancelTokenPtr& token() const { return token_; }
  bool cancelled() const { return token_ && token_->cancelled(); }

 private:
  CancelTokenPtr token_;
};

// A job made of two functions.
class Call final : public Job {
 public:
  Call(CancelTokenPtr token, std::function<void()> run, std::function<void(const Error&)> fail,
       const void* owner = nullptr)
      : Job(std::move(token)), run_(std::move(run)), fail_(std::move(fail)), owner_(owner) {}
  void run() override { run_(); }
  void fail(const Error& reason) override { fail_(reason); }
  const void* owner() const override { return owner_; }

 private:
  std::function<void()> run_;
  std::function<void(const Error&)> fail_;
  const void* owner_;
};

using Jobs = std::vector<std::unique_ptr<Job>>;

// Jobs of any thread wait here in the order they came, for one thread that takes them. No job is ever run or failed
// under the queue's lock.
class JobQueue {
 public:
  explicit JobQueue(size_t limit) : limit_(limit) {}
  ~JobQueue() { join(); }

  // Starts the thread. `body` takes jobs and runs them until the queue was stopped, then puts away what it worked with;
  // after it all that still waits fails.
  void start(std::function<void()> body);

  // Whether a job is refused where the queue is full. What only tidies up is not: refused, it would leave a mess.
  enum class Queueing { limited, unlimited };
  // Fails the job at once where the queue was stopped, the job cancelled or the queue is full (ERR_QUEUE_FULL).
  void push(std::unique_ptr<Job> job, Queueing queueing = Queueing::limited);

  // For the thread: waits for a job and takes it, with those behind it as long as all have a share and their sum is at
  // most `most`. None once the queue was stopped.
  Jobs take(int64_t most) { return take(most, Take::any, nudges()); }
  // As above for a thread that has other things to do: `whole` takes only jobs that have a share and fill a batch. None
  // also where nudge() was called since nudges() said `seen`.
  enum class Take { nothing, whole, any };
  Jobs take(int64_t most, Take what, uint64_t seen);
  void nudge();
  uint64_t nudges() const;

  // Fails the waiting jobs whose token was cancelled, with ABORT_ERR.
  void drop_cancelled();

  // Fails the waiting jobs of `owner` with `reason`, and puts `last` before all others, whatever the limit.
  void end(const void* owner, const Error& reason, std::unique_ptr<Job> last);

  // Ends the thread after what it runs; what waits, or comes later, fails with the `reason` of the first stop. `done`
  // runs when everything has failed that had to.
  void stop(const Error& reason, std::function<void()> done = {});
  // For what the thread runs: throws the reason once the queue was stopped.
  void check() const;
  bool stopped() const { return stopped_.load(); }
  // Waits for the thread after stop().
  void join();
  // True when the thread has nothing left to do.
  bool finished() const { return finished_.load(); }
  size_t waiting() const;

 private:
  void linger() const;
  size_t fitting(int64_t most, Take what) const;
  Jobs remove(const std::function<bool(const Job&)>& chosen);
  void fail_all();

  const size_t limit_;
  std::thread thread_;
  mutable std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::unique_ptr<Job>> jobs_;
  std::optional<Error> stop_reason_;
  std::vector<std::function<void()>> on_over_;
  uint64_t nudges_ = 0;
  bool over_ = false;  // nothing is failed any more but what comes
  std::atomic<bool> stopped_{false}, finished_{false};
  std::atomic<bool> work_waits_{false};  // for linger(): changed under the lock, looked at without
};

}  // namespace sam3
