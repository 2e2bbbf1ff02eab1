// The pipeline by itself, without LibTorch and without a device: built a second time under ThreadSanitizer.
#include "engine/pipeline.h"

#include <doctest/doctest.h>

#include <atomic>
#include <chrono>
#include <future>
#include <map>
#include <random>
#include <span>
#include <string>
#include <thread>
#include <vector>

using namespace sam3;

namespace {

enum class At { prepare, launch, await_answer, answer, await_rest, finish, never };
constexpr At kEverywhere[] = {At::prepare, At::launch, At::await_answer, At::answer, At::await_rest, At::finish};

// Opened once, and passed by all from then on.
class Gate {
 public:
  void open() { promise_.set_value(); }
  void pass() { future_.wait(); }
  bool passes(std::chrono::milliseconds patience) { return future_.wait_for(patience) == std::future_status::ready; }

 private:
  std::promise<void> promise_;
  std::shared_future<void> future_ = promise_.get_future().share();
};

// A job with a share, how it ends, and what happens to its batch on the way.
struct Asked {
  std::atomic<int> ends{0};
  std::string end;  // "delivered", or the code of an error
  At fails = At::never, blocks = At::never;
  Gate reached, gate;  // of the stage that blocks
};

struct Sharing : Job {
  Sharing(Asked& a, CancelTokenPtr token, int64_t s) : Job(std::move(token)), asked(a), part(s) {}
  void run() override { end("ran alone"); }
  void fail(const Error& reason) override { end(name_of(reason.code())); }
  int64_t share() const override { return part; }
  void end(const std::string& how) {
    asked.end = how;
    asked.ends++;
  }
  Asked& asked;
  int64_t part;
  std::span<Asked> parts;  // of a large job, each a batch of its own
};

// How many are somewhere at a time, and the most that ever were.
struct Crowd {
  std::atomic<int> now{0}, most{0};
  void enter() {
    const int here = ++now;
    for (int seen = most; seen < here && !most.compare_exchange_weak(seen, here);) {
    }
  }
  void leave() { now--; }
};

struct World {
  JobQueue queue{1000};
  Crowd launched, finishing;
  std::vector<std::string> asked_of_device;  // of the queue's thread
  std::atomic<int> batches{0};
};

constexpr size_t kPieces = 5;

class TestBatch : public Batch {
 public:
  TestBatch(World& world, Jobs jobs) : world_(world), jobs_(std::move(jobs)), number_(world.batches++) {}
  void check() const override {
    world_.queue.check();
    for (const auto& job : jobs_)
      if (!job->cancelled()) return;
    throw aborted();
  }
  size_t parts() const override { return jobs_.size(); }
  void prepare(size_t part) override {
    at(At::prepare, part);
    prepared_++;
  }
  void launch() override {
    CHECK(prepared_ == jobs_.size());
    world_.launched.enter();
    launched_ = true;
    world_.asked_of_device.push_back("launch " + std::to_string(number_));
    at(At::launch);
  }
  void await_answer() override { at(At::await_answer); }
  void answer() override {
    world_.launched.leave();
    launched_ = false;
    world_.asked_of_device.push_back("answer " + std::to_string(number_));
    world_.finishing.enter();
    finishing_ = true;
    at(At::answer);
  }
  size_t await_rest() override {
    at(At::await_rest);
    return kPieces;
  }
  void finish(size_t piece) override {
    if (piece == 2) at(At::finish);
    finished_++;
  }
  void deliver() override {
    CHECK(finished_ == kPieces);
    leave();
    for (const auto& job : jobs_) {
      if (job->cancelled())
        job->fail(aborted());
      else
        static_cast<Sharing&>(*job).end("delivered");
    }
  }
  void recover(std::exception_ptr error) override {
    leave();
    try {
      std::rethrow_exception(error);
    } catch (const Error& e) {
      for (const auto& job : jobs_) job->fail(e);
    }
  }

 private:
  void leave() {
    if (launched_) world_.launched.leave();
    if (finishing_) world_.finishing.leave();
  }
  void at(At stage, size_t part = 0) {
    Asked& asked = static_cast<Sharing&>(*jobs_[part]).asked;
    if (asked.blocks == stage) {
      asked.reached.open();
      asked.gate.pass();
    }
    if (asked.fails == stage) throw Error(ERR_INFERENCE, "The device did not like it.");
  }

  World& world_;
  Jobs jobs_;
  int number_;
  std::atomic<size_t> prepared_{0}, finished_{0};
  bool launched_ = false, finishing_ = false;
};

struct Serving : World {
  explicit Serving(size_t threads = 2, int64_t most = 4) {
    queue.start([this, threads, most] {
      Pipeline pipeline(queue, threads);
      pipeline.serve(
          most,
          [this](Jobs jobs) {
            std::vector<std::unique_ptr<Batch>> made;
            if (jobs.size() > 1 || static_cast<Sharing&>(*jobs[0]).parts.empty()) {
              made.push_back(std::make_unique<TestBatch>(*this, std::move(jobs)));
              return made;
            }
            for (Asked& part : static_cast<Sharing&>(*jobs[0]).parts) {
              Jobs one;
              one.push_back(std::make_unique<Sharing>(part, jobs[0]->token(), 4));
              made.push_back(std::make_unique<TestBatch>(*this, std::move(one)));
            }
            return made;
          },
          [this](Job& job) {
            asked_of_device.push_back("alone");
            job.run();
          });
    });
  }
  ~Serving() { stop(); }
  void push(Asked& asked, CancelTokenPtr token = nullptr, int64_t share = 4) {
    queue.push(std::make_unique<Sharing>(asked, std::move(token), share));
  }
  void push_large(Asked& whole, std::span<Asked> parts, CancelTokenPtr token = nullptr) {
    auto job = std::make_unique<Sharing>(whole, std::move(token), static_cast<int64_t>(4 * parts.size()));
    job->parts = parts;
    queue.push(std::move(job));
  }
  // Waits until a job that runs alone has run, for which the device was asked for all before.
  void pass() {
    std::promise<void> ran;
    queue.push(std::make_unique<Call>(nullptr, [&] { ran.set_value(); }, [&](const Error&) { ran.set_value(); }));
    ran.get_future().wait();
  }
  void stop() {
    queue.stop(Error(ERR_DISPOSED, "The model was disposed."));
    queue.join();
  }
};

void wait_for(const Asked& asked) {
  while (asked.ends == 0) std::this_thread::yield();
}

}  // namespace

TEST_CASE("pipeline: every job ends once, in batches that are full, and the device is asked in their order") {
  for (const size_t threads : {1, 3}) {
    std::vector<Asked> jobs(40);
    Serving serving(threads);
    for (Asked& job : jobs) serving.push(job, nullptr, 1);
    for (Asked& job : jobs) wait_for(job);
    serving.stop();
    for (const Asked& job : jobs) {
      CHECK(job.end == "delivered");
      CHECK(job.ends == 1);
    }
    CHECK(serving.batches < 40);
    CHECK(serving.launched.most <= 2);
    CHECK(serving.finishing.most <= 2);
    CHECK(serving.asked_of_device.size() == 2 * static_cast<size_t>(serving.batches));
    std::map<std::string, int> next;
    for (const std::string& what : serving.asked_of_device) {
      const std::string kind = what.substr(0, 6);
      CHECK(what == kind + " " + std::to_string(next[kind]++));
    }
  }
}

TEST_CASE("pipeline: while the device works on one batch the next one is asked for, and a third is prepared") {
  std::vector<Asked> jobs(4);
  for (size_t i = 0; i < 3; i++) jobs[i].blocks = i < 2 ? At::await_answer : At::prepare;
  Serving serving(2);
  for (Asked& job : jobs) serving.push(job);
  jobs[0].reached.pass();
  jobs[2].reached.pass();  // so the second one was launched
  CHECK(serving.launched.now == 2);
  CHECK(serving.batches == 3);  // and no fourth one was taken
  for (size_t i = 0; i < 3; i++) jobs[i].gate.open();
  for (Asked& job : jobs) wait_for(job);
  CHECK(jobs[3].end == "delivered");
}

TEST_CASE("pipeline: finishing goes on beside the device, which waits when two batches are being finished") {
  std::vector<Asked> jobs(5);
  for (size_t i = 0; i < 3; i++) jobs[i].blocks = At::finish;
  Serving serving(3);
  for (Asked& job : jobs) serving.push(job);
  jobs[0].reached.pass();
  jobs[1].reached.pass();
  while (serving.batches < 3) std::this_thread::yield();
  CHECK(serving.finishing.now == 2);
  CHECK_FALSE(jobs[2].reached.passes(std::chrono::milliseconds(20)));  // that is no proof, but a fault would show
  for (size_t i = 0; i < 3; i++) jobs[i].gate.open();
  for (Asked& job : jobs) wait_for(job);
  serving.stop();
  CHECK(serving.finishing.most == 2);
}

TEST_CASE("pipeline: part of a batch waits for more while the device has work, and not when it has none") {
  std::vector<Asked> jobs(4);
  jobs[0].blocks = At::await_answer;
  Serving serving(2);
  serving.push(jobs[0], nullptr, 1);  // alone, as nothing else is there
  jobs[0].reached.pass();
  for (size_t i = 1; i < 4; i++) serving.push(jobs[i], nullptr, 1);
  CHECK(serving.batches == 1);
  jobs[0].gate.open();
  for (Asked& job : jobs) wait_for(job);
  CHECK(serving.batches == 2);
}

TEST_CASE("pipeline: what a stage throws ends its batch, and no other one") {
  for (const At stage : kEverywhere) {
    CAPTURE(static_cast<int>(stage));
    std::vector<Asked> jobs(6);
    jobs[2].fails = stage;
    Serving serving(2);
    for (Asked& job : jobs) serving.push(job);
    for (Asked& job : jobs) wait_for(job);
    serving.stop();
    for (size_t i = 0; i < jobs.size(); i++) {
      CHECK(jobs[i].end == (i == 2 ? "ERR_INFERENCE" : "delivered"));
      CHECK(jobs[i].ends == 1);
    }
    CHECK(serving.launched.now == 0);
    CHECK(serving.finishing.now == 0);
  }
}

TEST_CASE("pipeline: a batch that nobody wants any more ends behind its stage; a neighbour keeps it") {
  for (const At stage : kEverywhere) {
    CAPTURE(static_cast<int>(stage));
    std::vector<Asked> jobs(3);
    const auto token = std::make_shared<CancelToken>(), other = std::make_shared<CancelToken>();
    jobs[0].blocks = stage;
    Serving serving(2);
    serving.push(jobs[0], token);
    jobs[0].reached.pass();
    token->cancel();
    jobs[0].gate.open();
    wait_for(jobs[0]);
    CHECK(jobs[0].end == "ABORT_ERR");

    Asked first, second, busy;
    busy.blocks = At::launch;
    first.blocks = stage;
    serving.push(busy);
    busy.reached.pass();
    serving.push(first, other, 2);  // these two share a batch
    serving.push(second, nullptr, 2);
    busy.gate.open();
    first.reached.pass();
    other->cancel();
    first.gate.open();
    wait_for(first);
    wait_for(second);
    CHECK(first.end == "ABORT_ERR");
    CHECK(second.end == "delivered");
    for (size_t i = 1; i < 3; i++) serving.push(jobs[i]);
    for (Asked& job : jobs) wait_for(job);
    CHECK(jobs[2].end == "delivered");
  }
}

TEST_CASE("pipeline: stopped in every stage, every job ends once, and only when its stages have") {
  for (const At stage : kEverywhere) {
    CAPTURE(static_cast<int>(stage));
    std::vector<Asked> jobs(8);
    jobs[1].blocks = stage;
    Serving serving(2);
    for (Asked& job : jobs) serving.push(job);
    jobs[1].reached.pass();
    serving.queue.stop(Error(ERR_DISPOSED, "The model was disposed."));
    CHECK(jobs[1].ends == 0);
    jobs[1].gate.open();
    serving.stop();
    for (size_t i = 0; i < jobs.size(); i++) {
      CHECK(jobs[i].ends == 1);
      CHECK((jobs[i].end == "ERR_DISPOSED" || (i != 1 && jobs[i].end == "delivered")));
    }
    CHECK(jobs[1].end == "ERR_DISPOSED");
  }
}

TEST_CASE("pipeline: a large job goes through in batches, of which one is prepared while another is with the device") {
  std::vector<Asked> parts(5);
  Asked whole, behind;
  parts[0].blocks = At::await_answer;
  parts[2].blocks = At::prepare;
  Serving serving(2);
  serving.push_large(whole, parts);
  serving.push(behind);
  parts[0].reached.pass();
  parts[2].reached.pass();
  CHECK(serving.launched.now == 2);
  for (const size_t i : {0, 2}) parts[i].gate.open();
  for (Asked& part : parts) wait_for(part);
  wait_for(behind);
  serving.stop();
  for (const Asked& part : parts) CHECK(part.end == "delivered");
  std::vector<std::string> launches;
  for (const std::string& what : serving.asked_of_device)
    if (what.starts_with("launch")) launches.push_back(what);
  CHECK(launches == std::vector<std::string>{"launch 0", "launch 1", "launch 2", "launch 3", "launch 4", "launch 5"});
}

TEST_CASE("pipeline: a large job that nobody wants any more, and one at a stop, end in all their batches") {
  for (const bool stopped : {false, true}) {
    CAPTURE(stopped);
    std::vector<Asked> parts(6);
    Asked whole;
    parts[1].blocks = At::await_answer;
    const auto token = std::make_shared<CancelToken>();
    Serving serving(2);
    serving.push_large(whole, parts, token);
    parts[1].reached.pass();
    if (stopped)
      serving.queue.stop(Error(ERR_DISPOSED, "The model was disposed."));
    else
      token->cancel();
    parts[1].gate.open();
    for (Asked& part : parts) wait_for(part);
    serving.stop();
    for (const Asked& part : parts) CHECK(part.ends == 1);
    for (size_t i = 1; i < parts.size(); i++) CHECK(parts[i].end == (stopped ? "ERR_DISPOSED" : "ABORT_ERR"));
  }
}

TEST_CASE("pipeline: a job without a share runs in its turn, when the device was asked for what came before") {
  std::vector<Asked> jobs(2);
  jobs[0].blocks = At::finish;  // which is no matter of the device
  Serving serving(2);
  serving.push(jobs[0]);
  serving.pass();
  serving.push(jobs[1]);
  jobs[0].gate.open();
  for (Asked& job : jobs) wait_for(job);
  serving.stop();
  CHECK(serving.asked_of_device == std::vector<std::string>{"launch 0", "answer 0", "alone", "launch 1", "answer 1"});
}

TEST_CASE("pipeline: random jobs, faults and cancels of several threads, then a stop") {
  std::mt19937_64 seeds(11);
  for (int round = 0; round < 20; round++) {
    constexpr size_t kThreads = 3, kJobs = 30;
    std::vector<std::vector<Asked>> jobs(kThreads);
    for (auto& own : jobs) own = std::vector<Asked>(kJobs);
    Serving serving(2);
    std::vector<std::thread> threads;
    for (size_t t = 0; t < kThreads; t++)
      threads.emplace_back([&, t, seed = seeds()] {
        std::mt19937_64 random(seed);
        for (Asked& job : jobs[t]) {
          const auto token = std::make_shared<CancelToken>();
          if (random() % 8 == 0) job.fails = kEverywhere[random() % 6];
          serving.push(job, token, static_cast<int64_t>(1 + random() % 4));
          if (random() % 6 == 0) {
            token->cancel();
            serving.queue.drop_cancelled();
          }
          if (random() % 10 == 0) serving.pass();
        }
      });
    if (round % 2) serving.queue.stop(Error(ERR_DISPOSED, "The model was disposed."));
    for (auto& thread : threads) thread.join();
    if (round % 4 == 0)
      for (auto& own : jobs)
        for (Asked& job : own) wait_for(job);
    serving.stop();
    for (const auto& own : jobs)
      for (const Asked& job : own) CHECK(job.ends == 1);
    CHECK(serving.launched.now == 0);
    CHECK(serving.finishing.now == 0);
  }
}
