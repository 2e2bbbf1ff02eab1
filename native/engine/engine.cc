#include "engine/engine.h"

#include <ATen/Parallel.h>
#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <chrono>

#include "core/error.h"
#include "core/host_memory.h"
#include "engine/engine_job.h"

namespace sam3 {

namespace {

Error aborted() {
  return Error(ABORT_ERR, "The operation was aborted by its signal.");
}

}  // namespace

struct Engine::EncodeJob : Job {
  EncodeJob(std::vector<RgbImage> i, Token t, Callback<std::vector<ImageFeaturesPtr>> d)
      : Job(std::move(t)), images(std::move(i)), done(std::move(d)) {}
  void run(Engine& engine) override {
    settle(done, [&] {
      auto features = engine.model_->encode(images, engine.probe({token}));
      for (const auto& f : features) engine.features_.push_back(f);
      return features;
    });
  }
  void fail(const Error& error) override { done(error); }
  std::vector<RgbImage> images;
  Callback<std::vector<ImageFeaturesPtr>> done;
};

struct Engine::SegmentJob : Job {
  SegmentJob(std::vector<SegmentItem> i, Token t, Callback<std::vector<std::vector<Segmentation>>> d)
      : Job(std::move(t)), items(std::move(i)), done(std::move(d)) {}
  void run(Engine& engine) override {
    settle(done, [&] { return engine.model_->segment(items, engine.probe({token})); });
  }
  void fail(const Error& error) override { done(error); }
  std::vector<SegmentItem> items;
  Callback<std::vector<std::vector<Segmentation>>> done;
};

struct Engine::PredictJob : Job {
  PredictJob(ImageInput i, std::vector<ClickPrompt> p, bool m, Token t, Callback<Prediction> d)
      : Job(std::move(t)), image(std::move(i)), prompts(std::move(p)), multimask(m), done(std::move(d)) {}
  void run(Engine& engine) override {
    settle(done, [&] { return engine.model_->predict(image, prompts, multimask, engine.probe({token})); });
  }
  void fail(const Error& error) override { done(error); }
  ImageInput image;
  std::vector<ClickPrompt> prompts;
  bool multimask;
  Callback<Prediction> done;
};

std::shared_ptr<Engine> Engine::start(ProgramFiles files, EngineOptions options,
                                      std::function<void(uint64_t, uint64_t)> progress, Callback<ModelInfo> loaded) {
  std::shared_ptr<Engine> engine(new Engine(std::move(options)));
  engine->thread_ = std::thread(
      [self = engine.get(), files = std::move(files), progress = std::move(progress),
       loaded = std::move(loaded)]() mutable { self->run(std::move(files), std::move(progress), std::move(loaded)); });
  return engine;
}

Engine::Engine(EngineOptions options) : options_(std::move(options)) {}

Engine::~Engine() {
  dispose(Error(ERR_DISPOSED, "The model was disposed."));
  join();
}

void Engine::join() {
  if (thread_.joinable()) thread_.join();
}

void Engine::encode(std::vector<RgbImage> images, Token token, Callback<std::vector<ImageFeaturesPtr>> done) {
  post(std::make_unique<EncodeJob>(std::move(images), std::move(token), std::move(done)));
}

void Engine::segment(std::vector<SegmentItem> items, Token token,
                     Callback<std::vector<std::vector<Segmentation>>> done) {
  post(std::make_unique<SegmentJob>(std::move(items), std::move(token), std::move(done)));
}

void Engine::predict(ImageInput image, std::vector<ClickPrompt> prompts, bool multimask, Token token,
                     Callback<Prediction> done) {
  post(
      std::make_unique<PredictJob>(std::move(image), std::move(prompts), multimask, std::move(token), std::move(done)));
}

void Engine::post(std::unique_ptr<Job> job, Queueing queueing) {
  std::optional<Error> refusal;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (stop_reason_)
      refusal = *stop_reason_;
    else if (job->cancelled())
      refusal = aborted();
    else if (queueing == Queueing::limited && queue_.size() >= options_.queue_limit)
      refusal = Error(ERR_QUEUE_FULL,
                      "The model's queue is full (" + std::to_string(options_.queue_limit) + " calls waiting).",
                      "Await earlier calls, or raise queueLimit.");
    else
      queue_.push_back(std::move(job));
    work_waits_.store(!queue_.empty());
  }
  if (refusal)
    job->fail(*refusal);
  else
    wake_.notify_one();
}

void Engine::drop_cancelled() {
  std::vector<std::unique_ptr<Job>> dropped;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    for (auto it = queue_.begin(); it != queue_.end();) {
      if ((*it)->cancelled()) {
        dropped.push_back(std::move(*it));
        it = queue_.erase(it);
      } else {
        ++it;
      }
    }
  }
  for (auto& job : dropped) job->fail(aborted());
}

void Engine::dispose(const Error& reason, std::function<void()> done) {
  bool already_freed = false;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (!stop_reason_) stop_reason_ = reason;
    already_freed = freed_;
    if (done && !already_freed) on_disposed_.push_back(std::move(done));
  }
  stopping_.store(true);
  wake_.notify_one();
  if (already_freed && done) done();
}

EngineStats Engine::stats() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  EngineStats stats = stats_;
  stats.queued = queue_.size();
  return stats;
}

CancelProbe Engine::probe(const std::vector<Token>& tokens) {
  return CancelProbe([this, tokens] {
    if (stopping_.load()) {
      const std::lock_guard<std::mutex> lock(mutex_);
      throw *stop_reason_;
    }
    // A batch of several calls goes on while anyone still waits for it.
    return std::all_of(tokens.begin(), tokens.end(), [](const Token& t) { return t && t->cancelled(); });
  });
}

void Engine::run(ProgramFiles files, std::function<void(uint64_t, uint64_t)> progress, Callback<ModelInfo> loaded) {
  if (options_.threads > 0) at::set_num_threads(options_.threads);
  {
    const c10::InferenceMode guard;
    if (load(files, progress, loaded)) serve();
    free_everything();
  }
  finished_.store(true);
}

bool Engine::load(const ProgramFiles& files, const std::function<void(uint64_t, uint64_t)>& progress,
                  const Callback<ModelInfo>& loaded) {
  bool ok = false;
  settle<ModelInfo>(loaded, [&] {
    try {
      const auto stop = probe({Token()});
      model_ = std::make_unique<ImageModel>(files, options_.model, [&](uint64_t done, uint64_t total) {
        stop.check();
        if (progress) progress(done, total);
      });
    } catch (const Error& e) {
      const std::lock_guard<std::mutex> lock(mutex_);
      if (!stop_reason_) stop_reason_ = e;
      throw;
    }
    const Program& program = model_->program();
    if (program.target().device.is_cpu()) keep_freed_host_memory();
    ModelInfo info;
    info.device = program.target().device.str();
    info.dtype = dtype_name(program.target().dtype);
    info.tokenizer_json = program.tokenizer_json();
    info.input_size = model_->input_size();
    info.mask_side = 4 * model_->grid();
    info.text_context = program.architecture().text_context;
    info.host_feature_bytes = program.target().device.is_cpu() ? model_->feature_bytes() : 0;
    info.parameters = program.parameters();
    info.weight_bytes = program.weight_bytes();
    info.parts = program.parts();
    info.valid_input_sizes = model_->valid_input_sizes();
    ok = true;
    return info;
  });
  return ok;
}

// An awaited call is often followed by the next within microseconds, and waking a core that sleeps takes longer than
// that.
void Engine::linger() const {
  constexpr auto kPatience = std::chrono::microseconds(50);
  const auto end = std::chrono::steady_clock::now() + kPatience;
  while (!work_waits_.load(std::memory_order_relaxed) && !stopping_.load(std::memory_order_relaxed) &&
         std::chrono::steady_clock::now() < end)
    std::this_thread::yield();
}

void Engine::serve() {
  for (;;) {
    std::vector<std::unique_ptr<Job>> jobs;
    linger();
    {
      std::unique_lock<std::mutex> lock(mutex_);
      wake_.wait(lock, [this] { return stop_reason_ || !queue_.empty(); });
      if (stop_reason_) return;
      const auto take = [&] {
        jobs.push_back(std::move(queue_.front()));
        queue_.pop_front();
      };
      take();
      // Waiting segment calls join the batch as long as their images fit one encoder batch.
      if (const auto* first = dynamic_cast<SegmentJob*>(jobs[0].get())) {
        auto images = static_cast<int64_t>(first->items.size());
        while (!queue_.empty()) {
          const auto* next = dynamic_cast<SegmentJob*>(queue_.front().get());
          if (!next || images + static_cast<int64_t>(next->items.size()) > model_->max_batch()) break;
          images += static_cast<int64_t>(next->items.size());
          take();
        }
      }
      work_waits_.store(!queue_.empty());
    }
    const auto calls = jobs.size();
    if (calls == 1)
      jobs[0]->run(*this);
    else
      run_segment_batch(std::move(jobs));

    features_.erase(std::remove_if(features_.begin(), features_.end(), [](const auto& f) { return f.expired(); }),
                    features_.end());
    const std::lock_guard<std::mutex> lock(mutex_);
    stats_.images = features_.size();
    stats_.cached_texts = model_->cached_texts();
    stats_.batches++;
    stats_.calls += calls;
  }
}

void Engine::run_segment_batch(std::vector<std::unique_ptr<Job>> jobs) {
  std::vector<SegmentItem> items;
  std::vector<Token> tokens;
  for (const auto& job : jobs) {
    const auto& own = static_cast<SegmentJob&>(*job).items;
    items.insert(items.end(), own.begin(), own.end());
    tokens.push_back(job->token);
  }
  std::vector<std::vector<Segmentation>> results;
  try {
    results = model_->segment(items, probe(tokens));
  } catch (const std::exception&) {
    // One bad call must not fail its neighbours: each runs alone and meets its own error.
    for (const auto& job : jobs) job->run(*this);
    return;
  }
  auto next = results.begin();
  for (const auto& job : jobs) {
    auto& own = static_cast<SegmentJob&>(*job);
    const auto end = next + static_cast<std::ptrdiff_t>(own.items.size());
    if (job->cancelled())
      job->fail(aborted());
    else
      own.done(std::vector<std::vector<Segmentation>>(std::make_move_iterator(next), std::make_move_iterator(end)));
    next = end;
  }
}

void Engine::free_everything() {
  std::deque<std::unique_ptr<Job>> waiting;
  Error reason(ERR_DISPOSED, "The model was disposed.");
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (!stop_reason_) stop_reason_ = reason;
    reason = *stop_reason_;
    waiting.swap(queue_);
  }
  for (const auto& session : sessions_) session->session_.reset();  // before those who wait for it are told
  sessions_.clear();
  for (auto& job : waiting) job->fail(reason);
  for (auto& features : features_)
    if (const auto held = features.lock()) held->release();
  features_.clear();
  if (model_) {
    const auto device = model_->program().target().device;
    model_.reset();
    release_cached_memory(device);
    release_host_memory();
  }

  std::vector<std::function<void()>> disposed;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    freed_ = true;
    stats_ = {};
    disposed.swap(on_disposed_);
  }
  for (const auto& done : disposed) done();
}

}  // namespace sam3
