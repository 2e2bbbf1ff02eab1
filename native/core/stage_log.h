#pragma once
#include <c10/core/Device.h>
#include <c10/core/Event.h>

#include <optional>
#include <vector>

#include "core/stages.h"

namespace sam3 {

// When the stages of one batch began and ended. Work of a GPU ends long after it was asked for: there events among the
// work mark its stages, for which nobody waits, and settle() reads them when the host has waited for the work anyhow.
// One thread at a time.
class StageLog {
 public:
  explicit StageLog(c10::Device device) : device_(device) {}

  // A stage from now on, until the object's end. `log` may be null.
  class Running {
   public:
    Running(StageLog* log, Stage stage, bool on_device);
    ~Running();
    Running(const Running&) = delete;
    Running& operator=(const Running&) = delete;

   private:
    StageLog* log_;
    size_t index_ = 0;
  };
  static Running on_device(StageLog* log, Stage stage) { return {log, stage, true}; }
  static Running on_host(StageLog* log, Stage stage) { return {log, stage, false}; }

  void add(StageSpan span) { entries_.push_back({span, false, {}, {}}); }  // of the host

  // Reads the events. False where the device has not come to the last of them: then nothing has changed.
  bool settle();
  // The stages so far; of those that are not settled, when the host asked for their work. Neighbours of one stage are
  // one.
  std::vector<StageSpan> spans() const;
  // Milliseconds in which the device had work, as far as it is settled.
  double device_busy() const { return device_busy_; }

 private:
  struct Entry {
    StageSpan span;
    bool on_device;
    std::optional<c10::Event> begin, end;
  };
  std::optional<c10::Event> mark();

  c10::Device device_;
  std::vector<Entry> entries_;
  size_t settled_ = 0;  // entries
  double device_busy_ = 0;
};

}  // namespace sam3
