// What the propagations of a concept come to, by what was asked before them. The expectations are those of Meta's
// parse_action_history_for_propagation and forward_video_grounding_multigpu.
#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "support/video_session_support.h"
#include "video/session/look_ahead.h"

using namespace sam3;
using namespace sam3::test;

namespace {

// Frames that are looked at with the box, of a pass over those from `first` to `last`.
std::vector<int64_t> boxed_on(LookAhead& ahead, int64_t first, int64_t last, int64_t num_frames) {
  std::vector<int64_t> out;
  const bool reverse = last < first;
  for (int64_t frame = first; reverse ? frame >= last : frame <= last; frame += reverse ? -1 : 1) {
    if (ahead.boxed(frame)) out.push_back(frame);
    ahead.looked_at(frame, reverse, num_frames);
  }
  return out;
}

LookAhead prompted(int64_t frame, int64_t num_frames) {
  LookAhead ahead(frame);
  ahead.looked_at(frame, false, num_frames);
  return ahead;
}

using Frames = std::vector<int64_t>;

}  // namespace

TEST_CASE("look ahead: the box counts on its frame and on the one that follows, whichever way that is") {
  LookAhead forward = prompted(5, 10);
  CHECK(boxed_on(forward, 5, 9, 10) == Frames{5, 6});
  LookAhead before = prompted(5, 10);
  CHECK(boxed_on(before, 4, 0, 10).empty());
  // From behind the prompt's frame: what was kept since the prompt is used, and looking ahead from it goes down.
  LookAhead backward = prompted(5, 10);
  CHECK(boxed_on(backward, 8, 0, 10) == Frames{6, 5, 4});
  LookAhead unknown = prompted(5, -1);
  CHECK(boxed_on(unknown, 6, 9, -1) == Frames{6});
}

TEST_CASE("look ahead: a frame that was looked at from its neighbour has lost its box") {
  LookAhead ahead = prompted(5, 10);
  CHECK(boxed_on(ahead, 4, 0, 10).empty());       // forgets what was found on 5
  CHECK(boxed_on(ahead, 0, 9, 10) == Frames{6});  // 5 was looked at from 4
  LookAhead again = prompted(5, 10);
  CHECK(boxed_on(again, 4, 0, 10).empty());
  CHECK(boxed_on(again, 5, 9, 10) == Frames{5, 6});  // begins there
}

TEST_CASE("concept flow: passes from a default start are not taken for one from an end of the video") {
  const Clip& clip = Clip::get();
  VideoOptions options = clip.options();
  options.full_history = true;
  const auto kind_of = [&](VideoSession& session, Direction direction, std::optional<int64_t> start) {
    PropagationPlan plan;
    clip.propagate(session, direction, start, 2, &plan);
    return plan.kind;
  };
  VideoSession named(clip.model(), options);
  named.add_concept(0, clip.frame(0), concept_of("cat"), {});
  CHECK(kind_of(named, Direction::forward, 0) == PropagationKind::full);
  CHECK(kind_of(named, Direction::forward, 0) == PropagationKind::fetch);
  VideoSession session(clip.model(), options);
  session.add_concept(0, clip.frame(0), concept_of("cat"), {});
  CHECK(kind_of(session, Direction::forward, {}) == PropagationKind::full);
  CHECK(kind_of(session, Direction::forward, {}) == PropagationKind::full);
  CHECK(kind_of(session, Direction::forward, {}) == PropagationKind::fetch);
}

TEST_CASE("concept flow: a pass without frames leaves the next one what it would have been") {
  const Clip& clip = Clip::get();
  VideoOptions options = clip.options();
  options.full_history = true;
  VideoSession session(clip.model(), options);
  session.add_concept(0, clip.frame(0), concept_of("cat"), {});
  clip.propagate(session, Direction::forward, 0, 3);
  ClickPrompt input;
  input.points = {.5, .5};
  input.labels = {1};
  session.add_points(2, nullptr, 50, input, {});
  PropagationPlan plan;
  CHECK(clip.propagate(session, Direction::backward, {}, {}, &plan).empty());  // there is nothing before frame 0
  CHECK(plan.kind == PropagationKind::partial);
  CHECK(clip.propagate(session, Direction::forward, {}, 3, &plan).size() == 4);
  CHECK(plan.kind == PropagationKind::partial);
}
