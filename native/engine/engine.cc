#include "engine/engine.h"

#include <ATen/Parallel.h>
#include <c10/core/InferenceMode.h>
#include <torch/csrc/jit/runtime/graph_executor.h>

#include <algorithm>

#include "core/error.h"
#include "core/host_memory.h"

namespace sam3 {

namespace {

Error disposed() {
  return Error(ERR_DISPOSED, "The model was disposed.");
}

}  // namespace

// The one kind of call that is joined with its neighbours.
struct Engine::SegmentCall : Job {
  SegmentCall(Engine& e, std::vector<SegmentItem> i, Token t, Callback<std::vector<std::vector<Segmentation>>> d)
      : Job(std::move(t)), engine(e), items(std::move(i)), done(std::move(d)) {}
  void run() override {
    settle(done, [&] { return engine.model_->segment(items, engine.probe({token()})); });
  }
  void fail(const Error& reason) override { done(reason); }
  int64_t share() const override { return static_cast<int64_t>(items.size()); }
  Engine& engine;
  std::vector<SegmentItem> items;
  Callback<std::vector<std::vector<Segmentation>>> done;
};

std::shared_ptr<Engine> Engine::start(ProgramFiles files, EngineOptions options,
                                      std::function<void(uint64_t, uint64_t)> progress, Callback<ModelInfo> loaded) {
  std::shared_ptr<Engine> engine(new Engine(std::move(options)));
  engine->queue_.start([self = engine.get(), files = std::move(files), progress = std::move(progress),
                        loaded = std::move(loaded)] { self->run(files, progress, loaded); });
  return engine;
}

Engine::~Engine() {
  dispose(disposed());
  join();
}

void Engine::encode(std::vector<RgbImage> images, Token token, Callback<std::vector<ImageFeaturesPtr>> done) {
  post<std::vector<ImageFeaturesPtr>>(std::move(token), std::move(done),
                                      [this, images = std::move(images)](const CancelProbe& cancel) {
                                        auto features = model_->encode(images, cancel);
                                        features_.insert(features_.end(), features.begin(), features.end());
                                        return features;
                                      });
}

void Engine::segment(std::vector<SegmentItem> items, Token token,
                     Callback<std::vector<std::vector<Segmentation>>> done) {
  queue_.push(std::make_unique<SegmentCall>(*this, std::move(items), std::move(token), std::move(done)));
}

void Engine::predict(ImageInput image, std::vector<ClickPrompt> prompts, bool multimask, Token token,
                     Callback<Prediction> done) {
  post<Prediction>(std::move(token), std::move(done),
                   [this, image = std::move(image), prompts = std::move(prompts), multimask](
                       const CancelProbe& cancel) { return model_->predict(image, prompts, multimask, cancel); });
}

EngineStats Engine::stats() const {
  const size_t queued = queue_.waiting();
  const std::lock_guard<std::mutex> lock(stats_mutex_);
  EngineStats stats = stats_;
  stats.queued = queued;
  return stats;
}

CancelProbe Engine::probe(const std::vector<Token>& tokens) {
  return CancelProbe([this, tokens] {
    queue_.check();
    // A batch of several calls goes on while anyone still waits for it.
    return std::all_of(tokens.begin(), tokens.end(), [](const Token& t) { return t && t->cancelled(); });
  });
}

void Engine::run(const ProgramFiles& files, const std::function<void(uint64_t, uint64_t)>& progress,
                 const Callback<ModelInfo>& loaded) {
  if (options_.threads > 0) at::set_num_threads(options_.threads);
  // The profiling executor specialises on the first shapes it sees, which makes the first calls several times slower
  // and gains nothing for programs whose time is in a few large kernels.
  torch::jit::getProfilingMode() = false;
  const torch::jit::GraphOptimizerEnabledGuard no_optimizer(false);
  const c10::InferenceMode guard;
  if (load(files, progress, loaded)) serve();
  queue_.stop(disposed());
  free_everything();
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
      queue_.stop(e);
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

void Engine::serve() {
  for (;;) {
    const Jobs jobs = queue_.take(model_->max_batch());
    if (jobs.empty()) return;
    if (jobs.size() == 1)
      jobs[0]->run();
    else
      run_segment_batch(jobs);

    features_.erase(std::remove_if(features_.begin(), features_.end(), [](const auto& f) { return f.expired(); }),
                    features_.end());
    const std::lock_guard<std::mutex> lock(stats_mutex_);
    stats_.images = features_.size();
    stats_.cached_texts = model_->cached_texts();
    stats_.batches++;
    stats_.calls += jobs.size();
  }
}

// `jobs` have a share of a batch each: they are SegmentCalls.
void Engine::run_segment_batch(const Jobs& jobs) {
  std::vector<SegmentItem> items;
  std::vector<Token> tokens;
  for (const auto& job : jobs) {
    const auto& own = static_cast<SegmentCall&>(*job).items;
    items.insert(items.end(), own.begin(), own.end());
    tokens.push_back(job->token());
  }
  std::vector<std::vector<Segmentation>> results;
  try {
    results = model_->segment(items, probe(tokens));
  } catch (const std::exception&) {
    // One bad call must not fail its neighbours: each runs alone and meets its own error.
    for (const auto& job : jobs) job->run();
    return;
  }
  auto next = results.begin();
  for (const auto& job : jobs) {
    const auto end = next + job->share();
    if (job->cancelled())
      job->fail(aborted());
    else
      static_cast<SegmentCall&>(*job).done(std::vector(std::make_move_iterator(next), std::make_move_iterator(end)));
    next = end;
  }
}

void Engine::free_everything() {
  for (const auto& session : sessions_) session->session_.reset();
  sessions_.clear();
  for (auto& features : features_)
    if (const auto held = features.lock()) held->release();
  features_.clear();
  if (model_) {
    const auto device = model_->program().target().device;
    model_.reset();
    release_cached_memory(device);
    release_host_memory();
  }
  const std::lock_guard<std::mutex> lock(stats_mutex_);
  stats_ = {};
}

}  // namespace sam3
