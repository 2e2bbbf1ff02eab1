#include "engine/pipeline.h"

#include <algorithm>
#include <utility>

namespace sam3 {

Pipeline::Pipeline(JobQueue& queue, size_t host_threads)
    : queue_(queue), hosts_(std::make_unique<WorkerPool>(host_threads)), waiter_([this] { wait_for_device(); }) {}

Pipeline::~Pipeline() {
  {
    const std::lock_guard lock(mutex_);
    over_ = true;
  }
  waiting_wake_.notify_one();
  waiter_.join();
  hosts_.reset();
}

void Pipeline::serve(int64_t most, const Make& make, const Alone& alone) {
  for (;;) {
    while (advance()) {
    }
    take(most, make, alone);
    const std::lock_guard lock(mutex_);
    if (queue_.stopped() && flights_.empty() && made_.empty()) return;
  }
}

// The flight that the queue's thread has something to do for, the one that the device needs most; under the lock.
Pipeline::FlightPtr Pipeline::next() const {
  if (auto failed = first(State::failed)) return failed;
  if (auto answered = first(State::answered); answered && count(State::finishing) < kFinishing) return answered;
  return count(State::launched) + count(State::answered) < kLaunched ? first(State::prepared) : nullptr;
}

bool Pipeline::advance() {
  FlightPtr flight;
  State state;
  {
    const std::lock_guard lock(mutex_);
    flight = next();
    if (!flight) return false;
    state = flight->state;
  }
  if (state == State::failed) {
    flight->batch->recover(flight->error);
    end(flight);
  } else if (state == State::answered) {
    if (stage(flight, [&] { flight->batch->answer(); })) become(flight, State::finishing);
  } else if (stage(flight, [&] { flight->batch->launch(); })) {
    become(flight, State::launched);
  }
  return true;
}

// Takes what there is room for, or waits until something has changed.
void Pipeline::take(int64_t most, const Make& make, const Alone& alone) {
  auto what = JobQueue::Take::any;
  uint64_t seen;
  {
    const std::lock_guard lock(mutex_);
    if (next()) return;
    seen = queue_.nudges();
    const size_t ahead = count(State::preparing) + count(State::prepared) + count(State::answered);
    if (ahead > 0 || (queue_.stopped() && made_.empty() && !flights_.empty()))
      what = JobQueue::Take::nothing;
    else if (count(State::launched) > 0)
      what = JobQueue::Take::whole;  // the device has work: what comes later may still share this batch
  }
  if (!made_.empty() && what != JobQueue::Take::nothing) return enter();
  Jobs jobs = queue_.take(most, what, seen);
  if (jobs.empty()) return;
  if (jobs[0]->share() == 0) return alone(*jobs[0]);
  for (auto& batch : make(std::move(jobs))) made_.push_back(std::move(batch));
  enter();
}

// The next of the batches that were made.
void Pipeline::enter() {
  auto flight = std::make_shared<Flight>();
  flight->batch = std::move(made_.front());
  made_.pop_front();
  {
    const std::lock_guard lock(mutex_);
    flights_.push_back(flight);
  }
  prepare(flight);
}

void Pipeline::prepare(const FlightPtr& flight) {
  const auto part = [this, flight](size_t i) { stage(flight, [&] { flight->batch->prepare(i); }); };
  hosts_->run(flight->batch->parts(), /*urgent=*/true, part, [this, flight] { become(flight, State::prepared); });
}

void Pipeline::finish(const FlightPtr& flight, size_t pieces) {
  const auto piece = [this, flight](size_t i) { stage(flight, [&] { flight->batch->finish(i); }); };
  hosts_->run(pieces, /*urgent=*/false, piece, [this, flight] {
    if (!stage(flight, [] {})) return become(flight, State::failed);
    flight->batch->deliver();
    end(flight);
  });
}

void Pipeline::wait_for_device() {
  for (;;) {
    FlightPtr flight;
    State state;
    {
      std::unique_lock lock(mutex_);
      waiting_wake_.wait(lock, [this] { return over_ || !waiting_.empty(); });
      if (waiting_.empty()) return;
      flight = std::move(waiting_.front());
      waiting_.pop_front();
      state = flight->state;
    }
    if (state == State::launched) {
      stage(flight, [&] { flight->batch->await_answer(); });
      become(flight, State::answered);
      continue;
    }
    size_t pieces = 0;
    if (stage(flight, [&] { pieces = flight->batch->await_rest(); }))
      finish(flight, pieces);
    else
      become(flight, State::failed);
  }
}

template <class Body>
bool Pipeline::stage(const FlightPtr& flight, Body&& body) {
  {
    const std::lock_guard lock(mutex_);
    if (flight->error) return false;
  }
  try {
    flight->batch->check();
    body();
    return true;
  } catch (...) {
    const std::lock_guard lock(mutex_);
    if (!flight->error) flight->error = std::current_exception();
    // On the queue's thread no other stage is under way; elsewhere the one that ends the stage says so.
    if (flight->state == State::prepared || flight->state == State::answered) flight->state = State::failed;
    return false;
  }
}

void Pipeline::become(const FlightPtr& flight, State state) {
  {
    const std::lock_guard lock(mutex_);
    flight->state = flight->error ? State::failed : state;
    if (!flight->error && (state == State::launched || state == State::finishing)) waiting_.push_back(flight);
  }
  waiting_wake_.notify_one();
  queue_.nudge();
}

void Pipeline::end(const FlightPtr& flight) {
  {
    const std::lock_guard lock(mutex_);
    flights_.erase(std::find(flights_.begin(), flights_.end(), flight));
  }
  queue_.nudge();
}

Pipeline::FlightPtr Pipeline::first(State state) const {
  const auto found =
      std::find_if(flights_.begin(), flights_.end(), [&](const FlightPtr& flight) { return flight->state == state; });
  return found == flights_.end() ? nullptr : *found;
}

size_t Pipeline::count(State state) const {
  return static_cast<size_t>(
      std::count_if(flights_.begin(), flights_.end(), [&](const FlightPtr& flight) { return flight->state == state; }));
}

}  // namespace sam3
