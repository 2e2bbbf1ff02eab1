// The queue by itself, without LibTorch: built a second time under ThreadSanitizer.
#include "engine/job_queue.h"

#include <doctest/doctest.h>

#include <array>
#include <atomic>
#include <future>
#include <string>
#include <thread>
#include <vector>

using namespace sam3;

namespace {

// Runs what it takes one by one, and notes the size of each batch.
struct Worker {
  explicit Worker(size_t limit = 100, int64_t most = 4) : queue(limit) {
    queue.start([this, most] {
      for (Jobs jobs = queue.take(most); !jobs.empty(); jobs = queue.take(most)) {
        batches.push_back(jobs.size());
        for (const auto& job : jobs) job->run();
      }
      put_away = true;
    });
  }
  // Waits until all that waits now has run.
  void drain() {
    std::promise<void> ran;
    queue.push(
        std::make_unique<Call>(nullptr, [&] { ran.set_value(); }, [](const Error&) {}), JobQueue::Queueing::unlimited);
    ran.get_future().wait();
  }
  void stop() {
    queue.stop(Error(ERR_DISPOSED, "The model was disposed."));
    queue.join();
  }
  std::vector<size_t> batches;  // these two are the thread's: to be read after join()
  bool put_away = false;
  JobQueue queue;
};

// What became of a job: "" until it ended, "ran", or the code of its error; how often it ended.
struct Fate {
  std::string end;
  int times = 0;
};

std::unique_ptr<Job> noting(Fate& fate, CancelTokenPtr token = nullptr, const void* owner = nullptr) {
  return std::make_unique<Call>(
      std::move(token), [&fate] { fate.end = "ran", fate.times++; },
      [&fate](const Error& reason) { fate.end = name_of(reason.code()), fate.times++; }, owner);
}

// A job that fills a part of a batch.
struct Sharing : Job {
  explicit Sharing(int64_t s) : Job(nullptr), part(s) {}
  void run() override {}
  void fail(const Error&) override {}
  int64_t share() const override { return part; }
  int64_t part;
};

// Keeps the thread busy from the end of the constructor to open().
class Gate {
 public:
  explicit Gate(JobQueue& queue) {
    queue.push(std::make_unique<Call>(
        nullptr, [this] { reached_.set_value(), opened_.get_future().wait(); }, [](const Error&) {}));
    reached_.get_future().wait();
  }
  void open() { opened_.set_value(); }

 private:
  std::promise<void> reached_, opened_;
};

}  // namespace

TEST_CASE("job queue: jobs run in the order they came, those with a share together") {
  Worker worker;
  std::string order;
  {
    Gate gate(worker.queue);
    const auto letter = [&](char c) {
      return std::make_unique<Call>(nullptr, [&order, c] { order += c; }, [](const Error&) {});
    };
    for (const char c : {'a', 'b', 'c'}) worker.queue.push(letter(c));
    for (const int64_t share : {2, 1, 1, 1}) worker.queue.push(std::make_unique<Sharing>(share));
    worker.queue.push(letter('d'));
    for (const int64_t share : {9, 1, 3, 1}) worker.queue.push(std::make_unique<Sharing>(share));
    CHECK(worker.queue.waiting() == 12);
    gate.open();
    worker.drain();
  }
  worker.stop();
  CHECK(order == "abcd");
  // The gate, a b c, 2+1+1 of at most 4, 1, d, 9 by itself, 1+3, 1, what drain() waits for.
  CHECK(worker.batches == std::vector<size_t>{1, 1, 1, 1, 3, 1, 1, 1, 2, 1, 1});
}

TEST_CASE("job queue: a full queue refuses all but what tidies up") {
  Worker worker(2);
  std::array<Fate, 4> fates;
  Gate gate(worker.queue);
  for (size_t i = 0; i < 3; i++) worker.queue.push(noting(fates[i]));
  CHECK(fates[2].end == "ERR_QUEUE_FULL");
  worker.queue.push(noting(fates[3]), JobQueue::Queueing::unlimited);
  gate.open();
  worker.drain();
  worker.stop();
  for (const size_t i : {0, 1, 3}) CHECK(fates[i].end == "ran");
}

TEST_CASE("job queue: cancelled jobs fail at once, their neighbours run") {
  Worker worker;
  std::array<Fate, 3> fates;
  Gate gate(worker.queue);
  const auto early = std::make_shared<CancelToken>(), late = std::make_shared<CancelToken>();
  early->cancel();
  worker.queue.push(noting(fates[0], early));
  CHECK(fates[0].end == "ABORT_ERR");
  worker.queue.push(noting(fates[1]));
  worker.queue.push(noting(fates[2], late));
  worker.queue.drop_cancelled();
  CHECK(fates[2].times == 0);
  late->cancel();
  worker.queue.drop_cancelled();
  CHECK(fates[2].end == "ABORT_ERR");
  CHECK(worker.queue.waiting() == 1);
  gate.open();
  worker.drain();
  worker.stop();
  CHECK(fates[1].end == "ran");
  for (const Fate& fate : fates) CHECK(fate.times == 1);
}

TEST_CASE("job queue: the end of an owner fails its jobs, and its last one runs before all others") {
  Worker worker(3);
  const int owner = 0, other = 0;
  std::array<Fate, 3> fates;
  std::string order;
  Gate gate(worker.queue);
  worker.queue.push(noting(fates[0]));
  worker.queue.push(std::make_unique<Call>(nullptr, [&] { order += "other "; }, [](const Error&) {}, &other));
  worker.queue.push(noting(fates[1], nullptr, &owner));
  worker.queue.end(&owner, Error(ERR_SESSION_CLOSED, "The session was closed."),
                   std::make_unique<Call>(nullptr, [&] { order += "last "; }, [](const Error&) {}));
  CHECK(fates[1].end == "ERR_SESSION_CLOSED");
  gate.open();
  worker.drain();
  worker.stop();
  CHECK(order == "last other ");
  CHECK(fates[0].end == "ran");
  worker.queue.end(&owner, Error(ERR_SESSION_CLOSED, "The session was closed."), noting(fates[2]));
  CHECK(fates[2].end == "ERR_DISPOSED");
  for (const Fate& fate : fates) CHECK(fate.times == 1);
}

TEST_CASE("job queue: a stop fails what waits for the first reason, after the thread has put its things away") {
  Worker worker;
  std::array<Fate, 4> fates;
  bool put_away = false;
  int told = 0;
  {
    Gate gate(worker.queue);
    worker.queue.check();
    worker.queue.push(noting(fates[0]));
    worker.queue.stop(Error(ERR_DISPOSED, "The model was disposed."), [&] {
      put_away = worker.put_away && fates[0].times == 1 && fates[1].times == 1;
      told++;
    });
    worker.queue.stop(Error(ERR_INTERNAL, "Comes too late."), [&] { told++; });
    CHECK_THROWS_AS(worker.queue.check(), Error);
    worker.queue.end(&worker, Error(ERR_SESSION_CLOSED, "The session was closed."), noting(fates[1]));
    worker.queue.push(noting(fates[2]));
    CHECK(fates[2].end == "ERR_DISPOSED");
    CHECK(told == 0);
    gate.open();
    worker.queue.join();
  }
  CHECK(worker.queue.finished());
  CHECK(put_away);
  CHECK(told == 2);
  worker.queue.stop(Error(ERR_INTERNAL, "Comes too late."), [&] { told++; });
  CHECK(told == 3);
  worker.queue.push(noting(fates[3]), JobQueue::Queueing::unlimited);
  for (const Fate& fate : fates) {
    CHECK(fate.end == "ERR_DISPOSED");
    CHECK(fate.times == 1);
  }
}

TEST_CASE("job queue: whatever many threads do at once, every job ends once") {
  constexpr size_t kThreads = 6, kJobs = 300;
  for (int round = 0; round < 5; round++) {
    std::vector<std::array<Fate, kJobs>> fates(kThreads);
    std::atomic<int> told{0};
    {
      Worker worker(20);
      std::vector<std::thread> threads;
      for (size_t t = 0; t < kThreads; t++)
        threads.emplace_back([&, t] {
          for (size_t i = 0; i < kJobs; i++) {
            const auto token = std::make_shared<CancelToken>();
            const auto queueing = i % 7 == 0 ? JobQueue::Queueing::unlimited : JobQueue::Queueing::limited;
            if (i % 11 == 10) {
              worker.queue.end(&fates[t], Error(ERR_SESSION_CLOSED, "The session was closed."), noting(fates[t][i]));
            } else {
              worker.queue.push(noting(fates[t][i], token, i % 3 == 0 ? &fates[t] : nullptr), queueing);
              if (i % 5 == 4) token->cancel(), worker.queue.drop_cancelled();
            }
            if (t == 0 && i == kJobs / 2) worker.drain();
            if (t == 0 && i == kJobs - 50)
              worker.queue.stop(Error(ERR_DISPOSED, "The model was disposed."), [&] { told++; });
            worker.queue.waiting();
          }
        });
      for (auto& thread : threads) thread.join();
      worker.queue.join();
    }
    CHECK(told == 1);
    for (const auto& own : fates)
      for (const Fate& fate : own) REQUIRE(fate.times == 1);
    CHECK(fates[0][7].end == "ran");  // nobody's, never refused, and waited for
  }
}
