#include "video/session/action_history.h"

#include <algorithm>
#include <set>

namespace sam3 {

void ActionHistory::note(Action action) {
  actions_.insert(running_ ? actions_.end() - 1 : actions_.end(), std::move(action));
}

void ActionHistory::click(int64_t object, bool is_new) {
  note({is_new ? Type::add : Type::refine, {object}, {}, {}});
}

void ActionHistory::remove(int64_t object) {
  note({Type::remove, {object}, {}, {}});
}

void ActionHistory::begin(const Next& next, std::optional<int64_t> start) {
  running_ = false;
  // Repeated looks at finished results say nothing new.
  if (next.kind == PropagationKind::fetch && !actions_.empty() && actions_.back().type == Type::propagation &&
      actions_.back().kind == PropagationKind::fetch)
    actions_.pop_back();
  actions_.push_back({Type::propagation, next.objects, next.kind, start});
  running_ = true;
}

ActionHistory::Next ActionHistory::next(int64_t num_frames) const {
  if (!decide()) return {};
  const Action& last = actions_.back();
  if (last.type == Type::propagation) {
    if (last.kind == PropagationKind::fetch) return {PropagationKind::fetch, {}};
    // Both directions are done, or the one that there was.
    const bool twice = actions_.size() > 1 && actions_[actions_.size() - 2].type == Type::propagation &&
                       actions_[actions_.size() - 2].kind != PropagationKind::fetch;
    const bool from_end = last.start && (*last.start == 0 || *last.start == num_frames - 1);
    if (twice || from_end) return {PropagationKind::fetch, {}};
    return {last.kind, last.objects};
  }
  std::set<int64_t> objects;
  for (auto action = actions_.rbegin(); action != actions_.rend() && action->type != Type::propagation; ++action)
    if (action->type != Type::remove) objects.insert(action->objects.begin(), action->objects.end());
  if (objects.empty()) return {PropagationKind::fetch, {}};
  return {PropagationKind::partial, {objects.begin(), objects.end()}};
}

bool ActionHistory::decide() const {
  if (actions_.empty()) return false;
  if (clicks_ || was_propagated()) return true;
  return removals_ && std::all_of(actions_.begin(), actions_.end(),
                                  [](const Action& action) { return action.type == Type::remove; });
}

bool ActionHistory::was_clicked(int64_t object) const {
  return std::any_of(actions_.begin(), actions_.end(), [&](const Action& action) {
    return (action.type == Type::add || action.type == Type::refine) &&
           std::find(action.objects.begin(), action.objects.end(), object) != action.objects.end();
  });
}

bool ActionHistory::was_propagated() const {
  return std::any_of(actions_.begin(), actions_.end(),
                     [](const Action& action) { return action.type == Type::propagation; });
}

}  // namespace sam3
