#pragma once
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>

#include "core/worker_pool.h"
#include "engine/job_queue.h"

namespace sam3 {

// Jobs that share their passes of the network, on their way through the stages of a Pipeline. Stages of one batch come
// one after another; any may throw, and then none follows but recover().
class Batch {
 public:
  virtual ~Batch() = default;
  // Throws where nobody wants the batch any more. Any thread, between stages and pieces.
  virtual void check() const = 0;

  virtual size_t parts() const = 0;
  virtual void prepare(size_t part) = 0;  // on host threads, all parts at once
  virtual void launch() = 0;              // on the queue's thread: asks the device for what needs no answer
  virtual void await_answer() = 0;        // on a thread that waits: until the device has answered
  virtual void answer() = 0;              // on the queue's thread: asks the device for the rest
  virtual size_t await_rest() = 0;        // on the thread that waits: until that is here; how many pieces there are
  virtual void finish(size_t piece) = 0;  // on host threads, all pieces at once
  virtual void deliver() = 0;             // on one of them: the end. Does not throw

  // The other end, on the queue's thread with no stage under way: what was thrown. Does not throw.
  virtual void recover(std::exception_ptr error) = 0;
};

// Serves a queue so that the device never waits for the host: while it works on one batch, the next one is prepared and
// asked for, and the last one is finished. The queue's thread only asks the device; another one waits for it, and host
// threads do the rest. Buffers are bounded: a batch waits for its next stage until there is room.
class Pipeline {
 public:
  Pipeline(JobQueue& queue, size_t host_threads);
  ~Pipeline();
  Pipeline(const Pipeline&) = delete;
  Pipeline& operator=(const Pipeline&) = delete;

  // Jobs that were taken together become a batch; one that is larger than a batch several, which enter in their order.
  using Make = std::function<std::vector<std::unique_ptr<Batch>>(Jobs)>;
  using Alone = std::function<void(Job&)>;
  // On the queue's thread, until the queue was stopped and all batches have ended. `most`: how much fills a batch. Jobs
  // without a share run by `alone` in their turn, when the device was asked for all that came before.
  void serve(int64_t most, const Make& make, const Alone& alone);

 private:
  enum class State { preparing, prepared, launched, answered, finishing, failed };
  struct Flight {
    std::unique_ptr<Batch> batch;
    State state = State::preparing;
    std::exception_ptr error;
  };
  using FlightPtr = std::shared_ptr<Flight>;

  // Batches that the device was asked for and that have no answer; the second one keeps it busy while the first one's
  // answer is read.
  static constexpr size_t kLaunched = 2;
  static constexpr size_t kFinishing = 2;

  void enter();
  bool advance();
  FlightPtr next() const;
  void take(int64_t most, const Make& make, const Alone& alone);
  void prepare(const FlightPtr& flight);
  void finish(const FlightPtr& flight, size_t pieces);
  void wait_for_device();
  // Runs one stage; what it throws becomes the flight's error.
  template <class Body>
  bool stage(const FlightPtr& flight, Body&& body);
  void become(const FlightPtr& flight, State state);
  void end(const FlightPtr& flight);
  FlightPtr first(State state) const;
  size_t count(State state) const;

  JobQueue& queue_;
  mutable std::mutex mutex_;
  std::deque<std::unique_ptr<Batch>> made_;  // of one large job, not taken yet; of the queue's thread alone
  std::deque<FlightPtr> flights_;            // in the order in which they were taken
  std::condition_variable waiting_wake_;
  std::deque<FlightPtr> waiting_;  // for the device, in the order in which it was asked
  bool over_ = false;
  std::unique_ptr<WorkerPool> hosts_;
  std::thread waiter_;
};

}  // namespace sam3
