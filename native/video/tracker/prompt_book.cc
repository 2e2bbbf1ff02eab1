#include "video/tracker/prompt_book.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "core/error.h"
#include "core/host_values.h"
#include "network/program.h"
#include "video/tracker/set_order.h"

namespace sam3 {
namespace {

constexpr float kPresent = -kAbsent;  // logit inside of a mask that was given
constexpr float kSure = 10.0f;        // object logit of a mask that was given

}  // namespace

at::Tensor PromptBook::Pending::mask(int64_t side) const {
  if (logits.defined()) return logits;
  const at::Tensor full = at::where(given, kPresent, kAbsent).to(at::kFloat);
  if (full.size(0) == side && full.size(1) == side) return full;
  return at::_upsample_bilinear2d_aa(full.unsqueeze(0).unsqueeze(0), {side, side}, /*align_corners=*/false)[0][0];
}

size_t PromptBook::index_of(int64_t id) const {
  return static_cast<size_t>(std::find(ids_.begin(), ids_.end(), id) - ids_.begin());
}

PromptBook::Entry& PromptBook::entry(int64_t id) {
  const size_t index = index_of(id);
  if (index == ids_.size()) {
    ids_.push_back(id);
    entries_.emplace_back();
  }
  return entries_[index];
}

const PromptBook::Pending* PromptBook::pending(size_t index, int64_t frame) const {
  if (index >= entries_.size()) return nullptr;
  const auto found = entries_[index].pending.find(frame);
  return found == entries_[index].pending.end() ? nullptr : &found->second;
}

bool PromptBook::prompted(int64_t frame) const {
  return std::any_of(entries_.begin(), entries_.end(), [&](const Entry& one) { return one.prompted(frame); });
}

void PromptBook::set_pending(Entry& entry, int64_t frame, Pending pending) {
  const auto found = entry.pending.find(frame);
  pending.order = found == entry.pending.end() ? next_order_++ : found->second.order;
  entry.pending[frame] = std::move(pending);
}

void PromptBook::set_points(int64_t frame, int64_t id, ClickNetwork::Points points, Pending pending) {
  Entry& one = entry(id);
  one.points[frame] = std::move(points);
  one.masks.erase(frame);
  set_pending(one, frame, std::move(pending));
}

void PromptBook::set_masks(int64_t frame, const std::vector<int64_t>& ids, const at::Tensor& given,
                           const at::Tensor& pointers, const std::vector<float>& there) {
  // From the last one back: `free` is what later ones leave. Copies: a view would keep the masks of all alive.
  const at::Tensor others = given.logical_not();
  std::vector<at::Tensor> own(ids.size());
  at::Tensor free = at::ones_like(given[0]);
  for (int64_t k = given.size(0) - 1; k >= 0; k--) {
    own[static_cast<size_t>(k)] = given[k].logical_and(free);
    free = free.logical_and(others[k]);
  }
  for (Entry& other : entries_) {
    const auto found = other.pending.find(frame);
    if (found != other.pending.end() && found->second.given.defined())
      found->second.given = found->second.given.logical_and(free);
  }
  for (size_t k = 0; k < ids.size(); k++) {
    Entry& one = entry(ids[k]);
    one.masks.insert(frame);
    one.points.erase(frame);
    const auto row = static_cast<int64_t>(k);
    set_pending(one, frame, {{}, own[k], pointers.narrow(0, row, 1).clone(), there[k] > 0 ? kSure : -kSure, 1});
  }
}

void PromptBook::erase(int64_t frame, int64_t id) {
  Entry& one = entry(id);
  one.points.erase(frame);
  one.masks.erase(frame);
  one.pending.erase(frame);
}

void PromptBook::erase_frame(int64_t frame) {
  for (Entry& one : entries_) {
    one.points.erase(frame);
    one.masks.erase(frame);
  }
}

void PromptBook::select(const std::vector<int64_t>& rows) {
  std::vector<int64_t> ids;
  std::vector<Entry> entries;
  for (const int64_t row : rows) {
    ids.push_back(ids_[row]);
    entries.push_back(std::move(entries_[row]));
  }
  ids_ = std::move(ids);
  entries_ = std::move(entries);
}

void PromptBook::settle() {
  for (Entry& one : entries_) one.pending.clear();
}

ClickNetwork::Points PromptBook::merged_points(int64_t frame, int64_t id, const ClickPrompt& input, int64_t input_size,
                                               const TrackerOptions& options) const {
  const auto invalid = [](const std::string& message) { throw Error(ERR_INVALID_ARGUMENT, message); };
  if (input.points.size() != 2 * input.labels.size()) invalid("Points need two numbers for each label.");
  if (input.labels.empty() && !input.box) invalid("A prompt needs points or a box.");
  if (input.box && !input.clear_old_points)
    invalid("A box comes before all points of its frame: send it with clearOldPoints, and points with it or after it.");
  ClickNetwork::Points points;
  if (!input.clear_old_points && contains(id)) {
    const auto& old = entries_[index_of(id)].points;
    if (const auto found = old.find(frame); found != old.end()) points = found->second;
  }
  const auto add = [&](const double* xy, size_t numbers) {
    const auto size = static_cast<double>(input_size);
    for (size_t i = 0; i < numbers; i++) points.xy.push_back(static_cast<float>(xy[i] * size));
  };
  if (input.box) {
    add(input.box->data(), 4);
    points.labels = {Program::kBoxTopLeft, Program::kBoxBottomRight};
  }
  add(input.points.data(), input.points.size());
  points.labels.insert(points.labels.end(), input.labels.begin(), input.labels.end());

  const auto count = static_cast<int64_t>(points.labels.size()), most = options.max_point_num_in_prompt_enc;
  if (most > 0 && count > most) {
    const int64_t first = most / 2, drop = count - most;
    points.xy.erase(points.xy.begin() + 2 * first, points.xy.begin() + 2 * (first + drop));
    points.labels.erase(points.labels.begin() + first, points.labels.begin() + first + drop);
  }
  return points;
}

std::vector<int64_t> PromptBook::mask_frames(int64_t id) const {
  std::vector<int64_t> frames;
  const Entry& of = entries_.at(index_of(id));
  for (const int64_t frame : of.masks)
    if (!of.points.count(frame)) frames.push_back(frame);
  return frames;
}

std::set<int64_t> PromptBook::pending_frames() const {
  std::set<int64_t> frames;
  for (const Entry& one : entries_)
    for (const auto& [frame, pending] : one.pending) frames.insert(frame);
  return frames;
}

std::vector<int64_t> PromptBook::preflight_order() const {
  std::vector<int64_t> added;
  for (const Entry& one : entries_) {
    std::map<int64_t, int64_t> frames;  // by order
    for (const auto& [frame, pending] : one.pending) frames[pending.order] = frame;
    for (const auto& [order, frame] : frames) added.push_back(frame);
  }
  return python_set_order(added);
}

std::vector<std::set<int64_t>> PromptBook::prompted_frames() const {
  std::vector<std::set<int64_t>> frames;
  for (const Entry& one : entries_) {
    frames.push_back(one.masks);
    for (const auto& [frame, points] : one.points) frames.back().insert(frame);
  }
  return frames;
}

int64_t PromptBook::bytes() const {
  int64_t total = 0;
  for (const Entry& one : entries_)
    for (const auto& [frame, pending] : one.pending)
      total += bytes_of({&pending.logits, &pending.given, &pending.pointer});
  return total;
}

}  // namespace sam3
