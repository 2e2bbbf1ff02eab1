#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "video/session/video_types.h"

namespace sam3 {

// What was done to a concept's objects, which decides what the next propagation has to compute.
// Source: Meta's Sam3VideoInferenceWithInstanceInteractivity (parse_action_history_for_propagation).
class ActionHistory {
 public:
  // `clicks`, `removals`: as in the reference, those before the first propagation decide what it computes. Else that is
  // always everything: there are no results yet that clicks could be merged into.
  explicit ActionHistory(bool clicks = false, bool removals = false) : clicks_(clicks), removals_(removals) {}

  struct Next {
    PropagationKind kind = PropagationKind::full;
    std::vector<int64_t> objects;  // for partial
  };

  void click(int64_t object, bool is_new);
  void remove(int64_t object);
  // Prompts that come while a propagation is running take effect in it: they count as made before it.
  void begin(const Next& next, std::optional<int64_t> start);
  void finish() { running_ = false; }

  // `num_frames` -1 = not known.
  Next next(int64_t num_frames) const;
  bool was_clicked(int64_t object) const;
  bool was_propagated() const;
  void clear() { actions_.clear(), running_ = false; }

 private:
  enum class Type { add, refine, remove, propagation };
  struct Action {
    Type type;
    std::vector<int64_t> objects;
    PropagationKind kind = PropagationKind::full;  // of a propagation
    std::optional<int64_t> start;
  };
  void note(Action action);
  bool decide() const;  // whether what was done so far counts

  bool clicks_, removals_;
  std::vector<Action> actions_;
  bool running_ = false;
};

}  // namespace sam3
