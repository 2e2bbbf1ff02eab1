// Segment calls: the one kind that is joined with its neighbours, into batches that go through the pipeline.
#include <c10/core/InferenceMode.h>
#include <c10/util/ParallelGuard.h>

#include <algorithm>
#include <iterator>
#include <mutex>

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
  size_t counts = 1;  // calls, in what is told of the engine
};

void Engine::segment(std::vector<SegmentItem> items, Token token, Callback<Results> done, OnStages on_stages) {
  queue_.push(
      std::make_unique<SegmentCall>(*this, std::move(items), std::move(token), std::move(done), std::move(on_stages)));
}

// A call with more images than a batch has, as several calls that follow one another: while the device works on one,
// the next is prepared and the last is finished. It ends when all of them have.
class Engine::LargeCall : public std::enable_shared_from_this<Engine::LargeCall> {
 public:
  LargeCall(std::unique_ptr<SegmentCall> call, size_t most) : call_(std::move(call)), most_(most) {
    results_.resize(call_->items.size());
    left_ = (results_.size() + most - 1) / most;
  }

  // The calls that it consists of, in their order.
  Jobs parts() {
    Jobs parts;
    for (size_t first = 0; first < results_.size(); first += most_) {
      const auto begin = call_->items.begin() + static_cast<std::ptrdiff_t>(first);
      const auto count = static_cast<std::ptrdiff_t>(std::min(most_, results_.size() - first));
      OnStages on_stages;
      if (call_->asked.on_stages)
        on_stages = [self = shared_from_this()](const CallStages& stages) { self->add(stages); };
      parts.push_back(std::make_unique<SegmentCall>(
          call_->engine,
          std::vector<SegmentItem>(std::make_move_iterator(begin), std::make_move_iterator(begin + count)),
          call_->token(),
          [self = shared_from_this(), first](Outcome<Results> outcome) { self->end(first, std::move(outcome)); },
          std::move(on_stages)));
      // The first one waited in the queue for all of them, and counts for them.
      auto& part = static_cast<SegmentCall&>(*parts.back());
      if (first == 0)
        part.asked.created = call_->asked.created;
      else
        part.counts = 0;
    }
    return parts;
  }

 private:
  void add(const CallStages& stages) {
    const std::lock_guard lock(mutex_);
    if (!stages_) {
      stages_ = stages;
      return;
    }
    stages_->images += stages.images;
    for (const StageSpan& span : stages.stages)
      if (span.stage != Stage::queue) stages_->stages.push_back(span);
  }
  void end(size_t first, Outcome<Results> outcome) {
    {
      const std::lock_guard lock(mutex_);
      if (auto* found = std::get_if<Results>(&outcome))
        std::move(found->begin(), found->end(), results_.begin() + static_cast<std::ptrdiff_t>(first));
      else if (!error_)
        error_ = std::get<Error>(outcome);
      if (--left_ > 0) return;
    }
    if (stages_) {
      std::stable_sort(stages_->stages.begin(), stages_->stages.end(),
                       [](const StageSpan& a, const StageSpan& b) { return a.begin < b.begin; });
      call_->asked.on_stages(*stages_);
    }
    if (error_) return call_->done(*error_);
    call_->done(std::move(results_));
  }

  std::unique_ptr<SegmentCall> call_;
  const size_t most_;
  std::mutex mutex_;
  Results results_;
  std::optional<CallStages> stages_;
  std::optional<Error> error_;
  size_t left_ = 0;
};

class Engine::SegmentFlight final : public Batch {
 public:
  SegmentFlight(Engine& engine, Jobs jobs) : engine_(engine), jobs_(std::move(jobs)) {
    std::vector<Token> tokens;
    for (const auto& job : jobs_) {
      const auto& call = static_cast<SegmentCall&>(*job);
      items_.insert(items_.end(), call.items.begin(), call.items.end());
      tokens.push_back(job->token());
      reported_.push_back(call.asked);
      counts_ += call.counts;
    }
    batch_ = engine_.begin_batch(items_.size());
    probe_ = engine_.probe(tokens);
    // Without a pipeline one call with more images than fit takes several passes, one after the other.
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
    engine_.served(counts_);
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
    engine_.served(counts_);
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
  size_t counts_ = 0;  // calls
  BatchLog batch_;
  CancelProbe probe_;
  std::optional<SegmentBatch> stages_;
  Results results_;
};

std::vector<std::unique_ptr<Batch>> Engine::join(Jobs jobs) {
  std::vector<std::unique_ptr<Batch>> batches;
  const int64_t most = model_->max_batch();
  if (jobs.size() > 1 || jobs[0]->share() <= most) {
    batches.push_back(std::make_unique<SegmentFlight>(*this, std::move(jobs)));
    return batches;
  }
  std::unique_ptr<SegmentCall> call(static_cast<SegmentCall*>(jobs[0].release()));
  for (auto& part : std::make_shared<LargeCall>(std::move(call), static_cast<size_t>(most))->parts()) {
    Jobs one;
    one.push_back(std::move(part));
    batches.push_back(std::make_unique<SegmentFlight>(*this, std::move(one)));
  }
  return batches;
}

void Engine::run_joined(Jobs jobs) {
  SegmentFlight(*this, std::move(jobs)).run_and_deliver();
}

}  // namespace sam3
