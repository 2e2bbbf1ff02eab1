#pragma once
#include <array>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "core/cancel.h"
#include "core/outcome.h"
#include "core/stage_log.h"
#include "engine/job_queue.h"
#include "engine/session_handle.h"
#include "image/image_model.h"

namespace sam3 {

class Batch;

struct EngineOptions {
  ImageModelOptions model;
  int threads = 0;           // of LibTorch's CPU kernels, on a GPU of the pipeline; 0 = by the machine
  size_t queue_limit = 256;  // calls waiting, the running one not counted
};

struct ModelInfo {
  std::string device, dtype, tokenizer_json;
  int64_t input_size = 0, mask_side = 0, text_context = 0, parameters = 0, weight_bytes = 0;
  int64_t feature_bytes = 0;  // of an encoded image, an estimate
  int64_t slots = 0;          // objects that share one pass of the tracker: SAM 3.1; 0 in SAM 3
  WeightParts parts;
  std::vector<int64_t> valid_input_sizes;
};

struct EngineStats {
  size_t queued = 0;        // calls waiting
  size_t images = 0;        // encoded images that are still held
  size_t cached_texts = 0;  // text features kept
  size_t sessions = 0;      // video sessions that are open
  uint64_t batches = 0;     // times the engine thread took work from the queue
  uint64_t calls = 0;       // calls served by them: more than batches when calls were joined
  int64_t image_bytes = 0;  // of the features of those images, where the network runs
  // Milliseconds since the model was loaded, and of them those in which the device had work, as far as that is known:
  // on a GPU the time between the first and the last kernel of a stage counts.
  double uptime = 0, device_busy = 0;
  std::array<double, kStageNames.size()> stages{};  // milliseconds in each; of `queue`, for every call
  std::optional<DeviceMemory> device_memory;
};

// One model and the one thread that runs it. Calls only enqueue; callbacks run on the engine thread, on one of the
// threads that finish results, or on the calling thread for a call that never ran. Segment calls that wait together run
// as one batch where the device gains by it. Calls of video sessions wait in the same queue, so that sessions and image
// calls take turns.
class Engine {
 public:
  using Token = CancelTokenPtr;
  using Queueing = JobQueue::Queueing;

  // Starts the thread, which loads the model first.
  static std::shared_ptr<Engine> start(ProgramFiles files, EngineOptions options,
                                       std::function<void(uint64_t, uint64_t)> progress, Callback<ModelInfo> loaded);
  ~Engine();

  void encode(std::vector<RgbImage> images, Token token, Callback<std::vector<ImageFeaturesPtr>> done,
              OnStages on_stages = {});
  void segment(std::vector<SegmentItem> items, Token token, Callback<std::vector<std::vector<Segmentation>>> done,
               OnStages on_stages = {});
  void predict(ImageInput image, std::vector<ClickPrompt> prompts, bool multimask, Token token,
               Callback<Prediction> done, OnStages on_stages = {});

  void open_session(VideoOptions options, Token token, Callback<SessionPtr> done);
  // Runs `work` with the session. ERR_SESSION_CLOSED once it is being closed, also for work that is under way.
  template <class T>
  void in_session(SessionPtr session, Token token, Queueing queueing,
                  std::function<T(VideoSession&, const CancelProbe&)> work, Callback<T> done) {
    auto run = [work = std::move(work), done](VideoSession& video, const CancelProbe& cancel) {
      settle(done, [&] { return work(video, cancel); });
    };
    post_session_call(std::move(session), std::move(token), queueing, std::move(run),
                      [done](const Error& e) { done(e); });
  }
  // Ends the session's calls, waiting ones at once and the running one after its current step, then frees the session
  // on the engine thread, ahead of other calls and whatever the queue's limit is. `done` runs when all is given back.
  void close_session(const SessionPtr& session, std::function<void()> done);

  // Ends calls whose token was cancelled: waiting ones at once, the running one after its current step.
  void drop_cancelled() { queue_.drop_cancelled(); }
  // Refuses new calls, ends waiting and running ones with `reason`, then frees the model on the engine thread. Returns
  // at once; `done` runs when everything is given back.
  void dispose(const Error& reason, std::function<void()> done = {}) { queue_.stop(reason, std::move(done)); }
  // Waits for the thread after dispose().
  void join() { queue_.join(); }
  bool finished() const { return queue_.finished(); }
  EngineStats stats() const;

 private:
  struct SegmentCall;
  class LargeCall;
  class SegmentFlight;
  struct BatchLog {
    uint64_t number;
    size_t images;
    double begin;
    std::unique_ptr<StageLog> log;
  };
  // A call of a batch: when it came, and who asks for its stages.
  struct Reported {
    double created;
    OnStages on_stages;
  };
  using SessionWork = std::function<void(VideoSession&, const CancelProbe&)>;

  explicit Engine(EngineOptions options) : options_(std::move(options)), queue_(options_.queue_limit) {}
  // `images`: how many the call is about.
  template <class T>
  void post(Token token, Callback<T> done, size_t images, OnStages on_stages,
            std::function<T(const CancelProbe&, StageLog*)> work) {
    auto run = [this, token, done, images, asked = Reported{now_ms(), std::move(on_stages)}, work = std::move(work)] {
      run_alone(asked, images, done, [&](StageLog* log) { return work(probe({token}), log); });
    };
    queue_.push(std::make_unique<Call>(std::move(token), std::move(run), done));
  }
  // Runs what a call is about as a batch of its own.
  template <class T, class Body>
  void run_alone(const Reported& call, size_t images, const Callback<T>& done, Body&& body) {
    BatchLog batch = begin_batch(images);
    settle<T>(
        [&](Outcome<T> outcome) {
          end_batch(batch, {call});
          done(std::move(outcome));
        },
        [&] { return body(batch.log.get()); });
  }
  void post_session_call(SessionPtr session, Token token, Queueing queueing, SessionWork run,
                         std::function<void(const Error&)> fail);

  // On the engine thread.
  void run(const ProgramFiles& files, const std::function<void(uint64_t, uint64_t)>& progress,
           const Callback<ModelInfo>& loaded);
  bool load(const ProgramFiles& files, const std::function<void(uint64_t, uint64_t)>& progress,
            const Callback<ModelInfo>& loaded);
  void serve();
  size_t host_threads() const;  // of the pipeline; 0: without one
  // A batch of segment calls, which are the jobs that have a share.
  std::vector<std::unique_ptr<Batch>> join(Jobs jobs);
  void run_joined(Jobs jobs);
  // Counts a batch; any thread.
  void served(size_t calls);
  void tidy();
  BatchLog begin_batch(size_t images);
  // Counts the stages of a batch and reports them to its calls; any thread.
  void end_batch(BatchLog& batch, const std::vector<Reported>& calls);
  void free_session(SessionHandle& session);
  void count_sessions();
  CancelProbe probe(const std::vector<Token>& tokens);
  void free_everything();

  const EngineOptions options_;
  // Engine thread only.
  std::unique_ptr<ImageModel> model_;
  std::vector<std::weak_ptr<ImageFeatures>> features_;  // what dispose() must release
  std::vector<SessionPtr> sessions_;                    // open ones
  uint64_t next_batch_ = 1;

  mutable std::mutex stats_mutex_;
  EngineStats stats_;
  std::deque<std::unique_ptr<StageLog>> unsettled_;  // of batches that the host did not wait for
  std::optional<double> loaded_at_;
  std::optional<c10::Device> device_;  // known from then on
  JobQueue queue_;
};

}  // namespace sam3
