#include "core/stage_log.h"

#include <c10/core/impl/VirtualGuardImpl.h>

#include <algorithm>
#include <exception>

namespace sam3 {

StageLog::Running::Running(StageLog* log, Stage stage, bool on_device) : log_(log) {
  if (!log_) return;
  index_ = log_->entries_.size();
  log_->entries_.push_back({{stage, now_ms(), 0}, on_device, on_device ? log_->mark() : std::nullopt, {}});
}

StageLog::Running::~Running() {
  if (!log_) return;
  Entry& entry = log_->entries_[index_];
  if (entry.on_device) entry.end = log_->mark();
  entry.span.end = now_ms();
}

// An event behind what the device was asked for; none on a CPU, which has done it.
std::optional<c10::Event> StageLog::mark() {
  if (device_.is_cpu()) return std::nullopt;
  try {
    c10::Event event(device_.type(), c10::EventFlag::BACKEND_DEFAULT);  // with times, which the other kind has not
    event.record(c10::impl::VirtualGuardImpl(device_.type()).getStream(device_));
    return event;
  } catch (const std::exception&) {  // the device failed: whoever asked it for work learns it
    return std::nullopt;
  }
}

bool StageLog::settle() {
  try {
    const c10::Event* last = nullptr;
    for (size_t i = settled_; i < entries_.size(); i++)
      if (entries_[i].end) last = &*entries_[i].end;
    if (last && !last->query()) return false;
    const double now = now_ms();
    for (; settled_ < entries_.size(); settled_++) {
      Entry& entry = entries_[settled_];
      if (entry.begin && entry.end) {
        // The host has just waited for the last one.
        entry.span = {entry.span.stage, std::max(entry.span.begin, now - entry.begin->elapsedTime(*last)),
                      now - entry.end->elapsedTime(*last)};
        entry.span.end = std::max(entry.span.begin, entry.span.end);
        device_busy_ += entry.begin->elapsedTime(*entry.end);
      } else if (entry.on_device && device_.is_cpu()) {
        device_busy_ += entry.span.end - entry.span.begin;
      }
      entry.begin.reset();
      if (entry.end && &*entry.end != last) entry.end.reset();
    }
  } catch (const std::exception&) {  // as above
    settled_ = entries_.size();
  }
  return true;
}

std::vector<StageSpan> StageLog::spans() const {
  std::vector<StageSpan> spans;
  for (const Entry& entry : entries_) {
    if (!spans.empty() && spans.back().stage == entry.span.stage)
      spans.back().end = std::max(spans.back().end, entry.span.end);
    else
      spans.push_back(entry.span);
  }
  return spans;
}

}  // namespace sam3
