#include "engine/job_queue.h"

#include <algorithm>
#include <chrono>
#include <string>
#include <utility>

namespace sam3 {

void JobQueue::start(std::function<void()> body) {
  thread_ = std::thread([this, body = std::move(body)] {
    body();
    fail_all();
    finished_.store(true);
  });
}

void JobQueue::push(std::unique_ptr<Job> job, Queueing queueing) {
  std::optional<Error> refusal;
  std::unique_ptr<Job> refused;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (stop_reason_)
      refusal = *stop_reason_;
    else if (job->cancelled())
      refusal = aborted();
    else if (queueing == Queueing::limited && jobs_.size() >= limit_)
      refusal = Error(ERR_QUEUE_FULL, "The model's queue is full (" + std::to_string(limit_) + " calls waiting).",
                      "Await earlier calls, or raise queueLimit.");
    if (refusal)
      refused = std::move(job);
    else
      jobs_.push_back(std::move(job));
    work_waits_.store(!jobs_.empty());
  }
  if (refused)
    refused->fail(*refusal);
  else
    wake_.notify_one();
}

// An awaited call is often followed by the next within microseconds, and waking a core that sleeps takes longer than
// that.
void JobQueue::linger() const {
  constexpr auto kPatience = std::chrono::microseconds(50);
  const auto end = std::chrono::steady_clock::now() + kPatience;
  while (!work_waits_.load(std::memory_order_relaxed) && !stopped_.load(std::memory_order_relaxed) &&
         std::chrono::steady_clock::now() < end)
    std::this_thread::yield();
}

Jobs JobQueue::take(int64_t most, Take what, uint64_t seen) {
  if (what == Take::any) linger();
  std::unique_lock<std::mutex> lock(mutex_);
  size_t count = 0;
  wake_.wait(lock, [&] {
    count = stop_reason_ ? 0 : fitting(most, what);
    return count > 0 || nudges_ != seen || (stop_reason_ && what != Take::nothing);
  });
  Jobs taken(std::make_move_iterator(jobs_.begin()),
             std::make_move_iterator(jobs_.begin() + static_cast<std::ptrdiff_t>(count)));
  jobs_.erase(jobs_.begin(), jobs_.begin() + static_cast<std::ptrdiff_t>(count));
  work_waits_.store(!jobs_.empty());
  return taken;
}

// How many jobs are to be taken from the front; under the lock.
size_t JobQueue::fitting(int64_t most, Take what) const {
  if (what == Take::nothing || jobs_.empty()) return 0;
  if (jobs_.front()->share() == 0) return what == Take::any ? 1 : 0;
  int64_t filled = 0;
  size_t count = 0;
  while (count < jobs_.size() && jobs_[count]->share() > 0 && (count == 0 || filled + jobs_[count]->share() <= most))
    filled += jobs_[count++]->share();
  return what == Take::any || filled >= most || count < jobs_.size() ? count : 0;
}

void JobQueue::nudge() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    nudges_++;
  }
  wake_.notify_one();
}

uint64_t JobQueue::nudges() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return nudges_;
}

// Takes jobs out of the queue; under the lock.
Jobs JobQueue::remove(const std::function<bool(const Job&)>& chosen) {
  const auto rest = std::stable_partition(jobs_.begin(), jobs_.end(), [&](const auto& job) { return !chosen(*job); });
  Jobs removed(std::make_move_iterator(rest), std::make_move_iterator(jobs_.end()));
  jobs_.erase(rest, jobs_.end());
  work_waits_.store(!jobs_.empty());
  return removed;
}

void JobQueue::drop_cancelled() {
  Jobs dropped;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    dropped = remove([](const Job& job) { return job.cancelled(); });
  }
  for (const auto& job : dropped) job->fail(aborted());
}

void JobQueue::end(const void* owner, const Error& reason, std::unique_ptr<Job> last) {
  Jobs dropped;
  std::unique_ptr<Job> late;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    dropped = remove([&](const Job& job) { return job.owner() == owner; });
    if (over_) {
      late = std::move(last);
    } else {
      jobs_.push_front(std::move(last));
      work_waits_.store(true);
    }
  }
  wake_.notify_one();
  for (const auto& job : dropped) job->fail(reason);
  if (late) late->fail(*stop_reason_);
}

void JobQueue::stop(const Error& reason, std::function<void()> done) {
  std::function<void()> late;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    stopped_.store(true);
    if (!stop_reason_) stop_reason_ = reason;
    nudges_++;
    if (over_)
      late = std::move(done);
    else if (done)
      on_over_.push_back(std::move(done));
  }
  wake_.notify_one();
  if (late) late();
}

void JobQueue::check() const {
  if (!stopped_.load()) return;
  const std::lock_guard<std::mutex> lock(mutex_);
  throw *stop_reason_;
}

void JobQueue::fail_all() {
  std::deque<std::unique_ptr<Job>> waiting;
  std::vector<std::function<void()>> told;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    over_ = true;
    waiting.swap(jobs_);
    told.swap(on_over_);
  }
  for (const auto& job : waiting) job->fail(*stop_reason_);
  for (const auto& done : told) done();
}

void JobQueue::join() {
  if (thread_.joinable()) thread_.join();
}

size_t JobQueue::waiting() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return jobs_.size();
}

}  // namespace sam3
