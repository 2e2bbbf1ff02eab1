// Segment calls: the one kind that is joined with its neighbours, into batches that go through the pipeline.
#include <c10/core/InferenceMode.h>
#include <c10/util/ParallelGuard.h>

#include <iterator>

#include "engine/engine.h"
#include "engine/pipeline.h"
#include "image/segment_batch.h"

namespace sam3 {
namespace {

using Results = std::vector<std::vector<Segmentation>>;

// What a host thread needs for tensors: no bookkeeping of theirs, and no threads beside its own.
struct HostThread {
  c10::InferenceMode inference;
  c10::ParallelGuard serial{true};
};

}  // namespace

struct Engine::SegmentCall : Job {
  SegmentCall(Engine& e, std::vector<SegmentItem> i, Token t, Callback<Results> d, OnStages s)
      : Job(std::move(t)), engine(e), items(std::move(i)), done(std::move(d)), asked{now_ms(), std::move(s)} {}
  void run() override {
    engine.run_alone(asked, items.size(), done,
                     [&](StageLog* log) { return engine.model_->segment(items, engine.probe({token()}), log); });
  }
  void fail(const Error& reason) override { done(reason); }
  int64_t share() const override { return static_cast<int64_t>(items.size()); }
  Engine& engine;
  std::vector<SegmentItem> items;
  Callback<Results> done;
  Reported asked;
};

void Engine::segment(std::vector<SegmentItem> items, Token token, Callback<Results> done, OnStages on_stages) {
  queue_.push(
      std::make_unique<SegmentCall>(*this, std::move(items), std::move(token), std::move(done), std::move(on_stages)));
}

class Engine::SegmentFlight final : public Batch {
 public:
  SegmentFlight(Engine& engine, Jobs jobs) : engine_(engine), jobs_(std::move(jobs)) {
    std::vector<Token> tokens;
    for (const auto& job : jobs_) {
      const auto& call = static_cast<SegmentCall&>(*job);
      items_.insert(items_.end(), call.items.begin(), call.items.end());
      tokens.push_back(job->token());
      reported_.push_back(call.asked);
    }
    batch_ = engine_.begin_batch(items_.size());
    probe_ = engine_.probe(tokens);
    // One call with more images than fit takes several passes, one after the other.
    if (static_cast<int64_t>(items_.size()) <= engine_.model_->max_batch())
      stages_.emplace(*engine_.model_, items_.data(), items_.size(), probe_, batch_.log.get());
  }

  void check() const override { probe_.check(); }
  size_t parts() const override { return stages_ ? stages_->parts() : 0; }
  void prepare(size_t part) override {
    const HostThread guard;
    stages_->prepare(part);
  }
  void launch() override {
    if (!stages_) return run();
    engine_.model_->check(items_);
    stages_->launch();
  }
  void await_answer() override {
    if (stages_) stages_->await_answer();
  }
  void answer() override {
    if (stages_) stages_->answer();
    engine_.tidy();
  }
  size_t await_rest() override { return stages_ ? stages_->await_rest() : 0; }
  void finish(size_t mask) override {
    const HostThread guard;
    stages_->finish(mask);
  }
  void deliver() override {
    if (stages_) results_ = stages_->take();
    engine_.end_batch(batch_, reported_);
    engine_.served(jobs_.size());
    auto next = results_.begin();
    for (const auto& job : jobs_) {
      const auto end = next + job->share();
      if (job->cancelled())
        job->fail(aborted());
      else
        static_cast<SegmentCall&>(*job).done(Results(std::make_move_iterator(next), std::make_move_iterator(end)));
      next = end;
    }
  }
  void recover(std::exception_ptr error) override {
    stages_.reset();  // its memory may be what the next try needs
    // One bad call must not fail its neighbours: each runs alone and meets its own error. So does one that runs in
    // smaller steps alone.
    const Error reason = reason_of(error);
    const bool again = jobs_.size() > 1 || reason.code() == ERR_OUT_OF_MEMORY;
    if (!again) engine_.end_batch(batch_, reported_);
    engine_.served(jobs_.size());
    for (const auto& job : jobs_) {
      if (job->cancelled())
        job->fail(aborted());
      else if (again)
        job->run();
      else
        job->fail(reason);
    }
    engine_.tidy();
  }

  // All stages on this thread.
  void run() { results_ = engine_.model_->segment(items_, probe_, batch_.log.get()); }
  void run_and_deliver() {
    try {
      run();
    } catch (...) {
      return recover(std::current_exception());
    }
    stages_.reset();
    deliver();
    engine_.tidy();
  }

 private:
  static Error reason_of(const std::exception_ptr& error) {
    try {
      translate(ERR_INTERNAL, "The engine", [&] { std::rethrow_exception(error); });
    } catch (const Error& reason) {
      return reason;
    }
    return Error(ERR_INTERNAL, "The engine failed.");
  }

  Engine& engine_;
  Jobs jobs_;
  std::vector<SegmentItem> items_;
  std::vector<Reported> reported_;
  BatchLog batch_;
  CancelProbe probe_;
  std::optional<SegmentBatch> stages_;
  Results results_;
};

std::unique_ptr<Batch> Engine::join(Jobs jobs) {
  return std::make_unique<SegmentFlight>(*this, std::move(jobs));
}

void Engine::run_joined(Jobs jobs) {
  SegmentFlight(*this, std::move(jobs)).run_and_deliver();
}

}  // namespace sam3
