#include "engine/engine.h"

#include <ATen/Parallel.h>
#include <c10/core/InferenceMode.h>
#include <torch/csrc/jit/runtime/graph_executor.h>

#include <algorithm>
#include <thread>

#include "core/error.h"
#include "core/host_memory.h"
#include "engine/pipeline.h"

namespace sam3 {

namespace {

Error disposed() {
  return Error(ERR_DISPOSED, "The model was disposed.");
}

}  // namespace

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

void Engine::encode(std::vector<RgbImage> images, Token token, Callback<std::vector<ImageFeaturesPtr>> done,
                    OnStages on_stages) {
  const size_t count = images.size();
  post<std::vector<ImageFeaturesPtr>>(std::move(token), std::move(done), count, std::move(on_stages),
                                      [this, images = std::move(images)](const CancelProbe& cancel, StageLog* log) {
                                        auto features = model_->encode(images, cancel, log);
                                        features_.insert(features_.end(), features.begin(), features.end());
                                        return features;
                                      });
}

void Engine::predict(ImageInput image, std::vector<ClickPrompt> prompts, bool multimask, Token token,
                     Callback<Prediction> done, OnStages on_stages) {
  post<Prediction>(std::move(token), std::move(done), 1, std::move(on_stages),
                   [this, image = std::move(image), prompts = std::move(prompts), multimask](const CancelProbe& cancel,
                                                                                             StageLog* log) {
                     return model_->predict(image, prompts, multimask, cancel, log);
                   });
}

EngineStats Engine::stats() const {
  const size_t queued = queue_.waiting();
  const std::lock_guard<std::mutex> lock(stats_mutex_);
  EngineStats stats = stats_;
  stats.queued = queued;
  if (loaded_at_) {
    stats.uptime = now_ms() - *loaded_at_;
    stats.device_memory = device_memory(*device_);
  }
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
    info.feature_bytes = model_->feature_bytes();
    info.parameters = program.parameters();
    info.weight_bytes = program.weight_bytes();
    info.slots = program.architecture().slots;
    info.parts = program.parts();
    info.valid_input_sizes = model_->valid_input_sizes();
    ok = true;
    const std::lock_guard<std::mutex> lock(stats_mutex_);
    device_ = program.target().device;
    loaded_at_ = now_ms();
    return info;
  });
  return ok;
}

// On a CPU the network takes the cores itself, and one stage after the other loses nothing.
size_t Engine::host_threads() const {
  constexpr int kMost = 16;  // more would only sleep
  if (model_->program().target().device.is_cpu()) return 0;
  const int own = static_cast<int>(std::thread::hardware_concurrency());
  return static_cast<size_t>(std::clamp(options_.threads > 0 ? options_.threads : own, 1, kMost));
}

void Engine::serve() {
  const auto alone = [this](Job& job) {
    served(1);  // first: whoever has the answer finds it counted
    job.run();
    tidy();
  };
  const int64_t most = model_->max_batch();
  if (const size_t threads = host_threads()) {
    Pipeline(queue_, threads).serve(most, [this](Jobs jobs) { return join(std::move(jobs)); }, alone);
    return;
  }
  for (;;) {
    Jobs jobs = queue_.take(most);
    if (jobs.empty()) return;
    if (jobs.size() == 1)
      alone(*jobs[0]);
    else
      run_joined(std::move(jobs));
  }
}

void Engine::served(size_t calls) {
  const std::lock_guard<std::mutex> lock(stats_mutex_);
  stats_.batches++;
  stats_.calls += calls;
}

void Engine::tidy() {
  features_.erase(std::remove_if(features_.begin(), features_.end(), [](const auto& f) { return f.expired(); }),
                  features_.end());
  int64_t bytes = 0;
  for (const auto& kept : features_)
    if (const auto features = kept.lock()) bytes += features->bytes();
  const std::lock_guard<std::mutex> lock(stats_mutex_);
  stats_.images = features_.size();
  stats_.image_bytes = bytes;
  stats_.cached_texts = model_->cached_texts();
}

Engine::BatchLog Engine::begin_batch(size_t images) {
  return {next_batch_++, images, now_ms(), std::make_unique<StageLog>(model_->program().target().device)};
}

void Engine::end_batch(BatchLog& batch, const std::vector<Reported>& calls) {
  const bool settled = batch.log->settle();
  const auto spans = batch.log->spans();
  {
    const std::lock_guard<std::mutex> lock(stats_mutex_);
    const auto total = [&](Stage stage) -> double& { return stats_.stages[static_cast<size_t>(stage)]; };
    for (const StageSpan& span : spans) total(span.stage) += span.end - span.begin;
    for (const Reported& call : calls) total(Stage::queue) += batch.begin - call.created;
    if (settled)
      stats_.device_busy += batch.log->device_busy();
    else
      unsettled_.push_back(std::move(batch.log));
    while (!unsettled_.empty() && unsettled_.front()->settle()) {
      stats_.device_busy += unsettled_.front()->device_busy();
      unsettled_.pop_front();
    }
  }
  for (const Reported& call : calls) {
    if (!call.on_stages) continue;
    CallStages report{batch.number, calls.size(), batch.images, {{Stage::queue, call.created, batch.begin}}};
    report.stages.insert(report.stages.end(), spans.begin(), spans.end());
    call.on_stages(report);
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
  unsettled_.clear();
  stats_ = {};
  loaded_at_.reset();
}

}  // namespace sam3
