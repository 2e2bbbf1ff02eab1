// Memory that ends in the middle of a call.
#include <ATen/ATen.h>
#include <c10/core/CPUAllocator.h>
#include <doctest/doctest.h>

#include <atomic>

#include "core/error.h"
#include "support/golden.h"
#include "support/support.h"
#include "support/video_golden.h"
#include "support/video_session_support.h"

using namespace sam3;
using namespace sam3::test;

namespace {

// LibTorch's memory on the CPU, of which an allocation can be made to fail.
class FailingAllocator final : public at::Allocator {
 public:
  // While it lives, every tensor comes from here.
  FailingAllocator() : real_(c10::GetCPUAllocator()) { c10::SetCPUAllocator(this, 200); }
  ~FailingAllocator() override { c10::SetCPUAllocator(real_, 200); }

  // The n-th allocation from now on fails, once.
  void fail_at(int64_t n) { left_ = n; }
  bool failed() const { return left_ <= 0; }

  c10::DataPtr allocate(size_t bytes) override {
    if (left_.fetch_sub(1) == 1)
      TORCH_CHECK(false, "DefaultCPUAllocator: can't allocate memory: you tried to allocate ", bytes, " bytes.");
    return real_->allocate(bytes);
  }
  c10::DeleterFnPtr raw_deleter() const override { return real_->raw_deleter(); }
  void copy_data(void* to, const void* from, std::size_t bytes) const override { std::memcpy(to, from, bytes); }

 private:
  at::Allocator* real_;
  std::atomic<int64_t> left_{INT64_MAX};
};

// Calls in which memory ends, early or late, several times, until each gets through: what they answer is what they
// answer undisturbed.
void check_repeatable(const Clip& clip, const VideoOptions& options) {
  std::mt19937_64 random(4);
  int failures = 0;
  std::set<std::string> codes;

  const auto run = [&](FailingAllocator* memory) {
    VideoSession session(clip.model(), options);
    // Fails early or late, several times, until the call gets through.
    const auto stubborn = [&](const auto& call) {
      for (int attempt = 0;; attempt++) {
        if (memory && attempt < 6) memory->fail_at(static_cast<int64_t>(1 + random() % (attempt % 2 ? 4000 : 400)));
        try {
          auto result = call();
          if (memory) memory->fail_at(INT64_MAX);
          return result;
        } catch (const sam3::Error& e) {
          REQUIRE(memory);
          memory->fail_at(INT64_MAX);
          codes.insert(name_of(e.code()));
          failures++;
        }
      }
    };
    const CancelProbe none;
    stubborn([&] { return session.add_concept(0, clip.frame(0), concept_of("cat"), none); });
    stubborn([&] { return session.add_concept(0, clip.frame(0), concept_of("visual"), none); });
    stubborn([&] { return session.add_points(0, clip.frame(0), 70, {{.536, .476}, {1}, {}, {}}, none); });
    session.begin(Direction::forward, 0, 7);
    std::vector<FrameResult> out;
    for (int64_t frame = 0; frame < 8; frame++)
      for (FrameResult& result : stubborn([&] { return session.step(frame, clip.frame(frame), none); }))
        out.push_back(std::move(result));
    return out;
  };
  const auto undisturbed = run(nullptr);
  FailingAllocator memory;
  const auto disturbed = run(&memory);
  CHECK(failures > 8);
  CHECK(codes == std::set<std::string>{"ERR_OUT_OF_MEMORY"});
  REQUIRE(disturbed.size() == undisturbed.size());
  size_t shown = 0;
  for (size_t f = 0; f < disturbed.size(); f++) {
    const auto &ours = disturbed[f].objects, &expected = undisturbed[f].objects;
    CAPTURE(f);
    REQUIRE(ours.size() == expected.size());
    for (size_t i = 0; i < ours.size(); i++) {
      CHECK(ours[i].concept_index == expected[i].concept_index);
      CHECK(ours[i].tracker_score == doctest::Approx(expected[i].tracker_score).epsilon(1e-4));
      CHECK((pixels_of(ours[i].mask, clip.height(), clip.width()) !=
             pixels_of(expected[i].mask, clip.height(), clip.width()))
                .sum()
                .item<int64_t>() <= 1);
    }
    shown += ours.size();
  }
  CHECK(shown > 8);
}

}  // namespace

TEST_CASE("video session: where memory ends in a call, it can be repeated") {
  if (test_device() != "cpu") return;  // it is the CPU's memory that ends here
  VideoOptions options = Clip::get().options();
  options.concepts.score_threshold_detection = 0.4f;
  options.concepts.new_det_thresh = 0.45f;
  options.concepts.max_num_objects = 3;
  options.concepts.hotstart_delay = 4;
  options.concepts.hotstart_unmatch_thresh = options.concepts.hotstart_dup_thresh = 2;  // objects leave, too
  options.concepts.recondition_every_nth_frame = 0;  // what was reconditioned in a failed attempt stays so
  check_repeatable(Clip::get(), options);
}

TEST_CASE("video session: the same for SAM 3.1, whose objects need a bucket more") {
  if (test_device() != "cpu") return;
  const Clip& clip = Clip::multiplex(4);
  VideoOptions options = clip.options();
  options.concepts.score_threshold_detection = options.concepts.new_det_thresh = 0.2f;
  options.concepts.suppress_det_close_to_boundary = options.concepts.masklet_confirmation_enable = false;
  options.concepts.max_num_objects = 6;
  options.concepts.hotstart_delay = 4;
  options.concepts.hotstart_unmatch_thresh = options.concepts.hotstart_dup_thresh = 2;  // objects leave, too
  options.concepts.recondition_every_nth_frame = 0;  // what was reconditioned in a failed attempt stays so
  check_repeatable(clip, options);
}
