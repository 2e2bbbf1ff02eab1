// The limit of a full history: what a session holds never passes it, whatever the model keeps of frames and objects.
#include <doctest/doctest.h>

#include <algorithm>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "core/error.h"
#include "support/golden.h"
#include "support/support.h"
#include "support/video_session_support.h"
#include "video/session/video_session.h"

using namespace sam3;
using namespace sam3::test;

namespace {

// SAM 3, and SAM 3.1 with many and few slots.
const std::vector<int64_t> kKinds = {0, 16, 4};

const Clip& clip_of_kind(int64_t slots) {
  return slots == 0 ? Clip::get() : Clip::multiplex(slots);
}

// Under these the weights, which are random, find and keep objects.
VideoOptions loose(const Clip& clip, int64_t objects, int64_t limit) {
  VideoOptions options = clip.options();
  options.concepts.score_threshold_detection = 0.2f;
  options.concepts.new_det_thresh = 0.2f;
  options.concepts.det_nms_thresh = 0.6f;
  options.concepts.suppress_det_close_to_boundary = false;
  options.concepts.max_num_objects = objects;
  options.concepts.hotstart_delay = 0;
  options.concepts.recondition_every_nth_frame = 3;
  options.full_history = true;
  options.memory_limit = limit;
  options.logits = false;
  return options;
}

ClickPrompt point(double x, double y) {
  ClickPrompt input;
  input.points = {x, y};
  input.labels = {1};
  return input;
}

// A session whose calls may only ever end well or at the limit, which what it holds never passes.
class Limited {
 public:
  Limited(const Clip& clip, const VideoOptions& options)
      : clip_(clip), limit_(options.memory_limit), session_(clip.model(), options) {}

  bool add_concept(const std::string& text, int64_t frame) {
    return try_to([&] { session_.add_concept(frame, clip_.frame(frame), concept_of(text), {}); });
  }
  bool click(int64_t frame, int64_t object, double x, double y) {
    return try_to([&] { session_.add_points(frame, clip_.frame(frame), object, point(x, y), {}); });
  }
  bool draw(int64_t frame, int64_t object, const std::vector<uint8_t>& mask) {
    return try_to([&] { session_.add_mask(frame, clip_.frame(frame), object, mask.data(), {}); });
  }
  // Frames that were tracked before the end, or the limit.
  int64_t propagate(Direction direction, int64_t start) {
    const PropagationPlan plan = session_.begin(direction, start, {});
    int64_t frames = 0;
    for (int64_t f = plan.first; plan.reverse ? f >= plan.last : f <= plan.last; f += plan.reverse ? -1 : 1, frames++)
      if (!try_to([&] { session_.step(f, clip_.frame(f), {}); })) break;
    session_.abandon();
    return frames;
  }
  VideoSession& session() { return session_; }
  int refused() const { return refused_; }
  int64_t held() const { return session_.stats().host_bytes; }

 private:
  template <class Call>
  bool try_to(Call&& call) {
    bool done = true;
    try {
      call();
    } catch (const sam3::Error& e) {
      CHECK_MESSAGE(e.code() == ERR_MEMORY_LIMIT, e.what());
      refused_++;
      done = false;
    }
    CHECK(held() <= limit_);
    return done;
  }

  const Clip& clip_;
  int64_t limit_;
  VideoSession session_;
  int refused_ = 0;
};

}  // namespace

TEST_CASE("memory limit: objects of a text, of which a bucket more may be needed") {
  for (const int64_t slots : kKinds)
    for (const int64_t objects : {1, 3, 6})
      for (const int64_t limit : {1'100'000, 2'600'000}) {
        if (test_device() != "cpu" && objects != 3) continue;  // one in three is enough there, where each takes longer
        CAPTURE(slots);
        CAPTURE(objects);
        CAPTURE(limit);
        const Clip& clip = clip_of_kind(slots);
        Limited limited(clip, loose(clip, objects, limit));
        if (!limited.add_concept("cat", 0)) continue;
        const int64_t frames = limited.propagate(Direction::forward, 0);
        if (frames == clip.frames()) continue;  // a limit that is far away
        CHECK(limited.refused() == 1);
        // The way back needs what lies before it again.
        limited.propagate(Direction::backward, frames);
        limited.propagate(Direction::forward, 0);
      }
}

TEST_CASE("memory limit: clicked objects, each of which may be a state of its own, on frames that lie ahead") {
  int64_t tracked = 0;
  for (const int64_t slots : kKinds)
    for (const int64_t objects : {1, 2, 5})
      for (const int64_t limit : {800'000, 2'200'000}) {
        CAPTURE(slots);
        CAPTURE(objects);
        CAPTURE(limit);
        const Clip& clip = clip_of_kind(slots);
        Limited limited(clip, loose(clip, 3, limit));
        int64_t taken = 0;
        for (int64_t i = 0; i < objects; i++)
          taken += limited.click(2 * i, i, 0.2 + 0.15 * static_cast<double>(i), 0.4);
        if (taken == 0) continue;
        const int64_t frames = limited.propagate(Direction::forward, 0);
        tracked += frames;
        limited.click(std::max<int64_t>(frames - 1, 0), 0, 0.5, 0.5);
        limited.propagate(Direction::backward, std::max<int64_t>(frames - 1, 0));
      }
  CHECK(tracked > 40);
}

TEST_CASE("memory limit: random calls, in which objects of texts are clicked, drawn and removed") {
  std::mt19937_64 random(7);
  const auto below = [&](int64_t n) { return static_cast<int64_t>(random() % static_cast<uint64_t>(n)); };
  int refused = 0, frames = 0;
  const int rounds = fuzz_cases(9);
  for (int round = 0; round < rounds; round++) {
    const int64_t slots = kKinds[round % 3];
    const Clip& clip = clip_of_kind(slots);
    CAPTURE(round);
    std::vector<uint8_t> mask(clip.width() * clip.height());
    for (uint8_t& pixel : mask) pixel = below(2) == 0;  // as many runs as there can be
    Limited limited(clip, loose(clip, 2 + below(5), 1'200'000 + below(3'000'000)));
    limited.add_concept("cat", 0);
    for (int64_t call = 0, at = 0; call < 8; call++) {
      if (limited.session().stats().objects == 0 && !limited.add_concept("visual", 0)) break;
      switch (below(5)) {
        case 0: limited.click(at, below(6), 0.1 * static_cast<double>(1 + below(9)), 0.5); break;
        case 1: limited.draw(at, 20 + below(3), mask); break;
        case 2: {
          const auto known = limited.session().stats().objects;
          if (known > 1) limited.click(at, below(known), 0.3, 0.3);
          break;
        }
        default: {
          const bool back = below(3) == 0 && at > 0;
          const int64_t done = limited.propagate(back ? Direction::backward : Direction::forward, at);
          at = back ? std::max<int64_t>(at - done, 0) : std::min(at + done, clip.frames() - 1);
          frames += static_cast<int>(done);
        }
      }
    }
    refused += limited.refused();
  }
  if (test_device() == "cpu") CHECK(refused > 5);  // elsewhere most of it is on the device
  CHECK(frames > 30);
}
