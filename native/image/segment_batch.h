#pragma once
#include <cstdint>
#include <mutex>
#include <optional>
#include <vector>

#include "core/host_values.h"
#include "image/image_model.h"

namespace sam3 {

// Concept prompts about some images as one pass of the image encoder, in stages of which the device's thread waits for
// none: see engine/pipeline.h. Each stage throws ERR_INFERENCE, ERR_OUT_OF_MEMORY, ABORT_ERR, and then none may follow.
class SegmentBatch {
 public:
  // `count` items, at most `max_batch` of them, that were checked. All that is pointed to must outlive the batch; `log`
  // may be null.
  SegmentBatch(ImageModel& model, const SegmentItem* items, size_t count, CancelProbe cancel, StageLog* log);

  size_t parts() const { return raw_.size(); }                // images whose pixels are to be resized
  void prepare(size_t part);                                  // any thread, all at once
  void launch();                                              // engine thread
  void await_answer() const { last_.answer.wait_quietly(); }  // any thread
  void answer();                                              // engine thread
  size_t await_rest();                                        // any thread; how many masks there are
  void finish(size_t mask);                                   // any thread, all at once
  std::vector<std::vector<Segmentation>> take();              // [item][prompt], at the end

  // All of it in turn, on the engine thread; what memory does not suffice for is tried again in halves.
  std::vector<std::vector<Segmentation>> run();

 private:
  struct Pair {  // one (image, prompt)
    int64_t image = 0;
    const ConceptPrompt* prompt = nullptr;
    Segmentation* out = nullptr;
  };
  // Some pairs, and what the network found for them.
  struct Part {
    const Pair* pairs = nullptr;
    int64_t count = 0;
    Detector::Found found;
    HostCopy answer;      // presence, scores and boxes
    at::Tensor by_score;  // Detector::best_first()
  };
  enum class Masks { are_awaited, are_sent };

  void encode();
  Part find(int64_t first, int64_t count);
  void decode(const Part& part, Masks masks);
  std::vector<at::Tensor> choose(const Part& part);
  void send(PendingMasks masks);

  ImageModel& model_;
  const SegmentItem* items_;
  size_t count_;
  CancelProbe cancel_;
  StageLog* log_;
  std::vector<std::vector<Segmentation>> results_;
  std::vector<Pair> pairs_;  // by image, then by prompt

  std::vector<RgbImage> raw_;
  std::vector<at::Tensor> resized_;  // of those, on the host
  std::mutex prepare_mutex_;
  std::optional<StageSpan> prepared_;

  // On the device, until it was asked for the masks.
  std::vector<ImageFeaturesPtr> images_;
  std::vector<Program::Levels> levels_;  // per image, batch 1
  at::Tensor coarse_;                    // [B, C, G, G] of all images: what geometry and detector read
  Part last_;

  std::vector<PendingMasks> masks_;  // on their way to the host
  double fetched_ = 0;               // as now_ms() tells it
};

}  // namespace sam3
