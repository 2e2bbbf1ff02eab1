#pragma once
#include <torch/csrc/autograd/profiler_kineto.h>

#include <set>
#include <string>

namespace sam3::bench {

// Records what the process asks of the GPU and what that does during its own life, and writes it to `path` in Chrome's
// format; nothing where the path is empty.
class Tracing {
 public:
  explicit Tracing(std::string path) : path_(std::move(path)) {
    if (path_.empty()) return;
    const std::set<torch::profiler::impl::ActivityType> activities{torch::profiler::impl::ActivityType::CPU,
                                                                   torch::profiler::impl::ActivityType::CUDA};
    const torch::profiler::impl::ProfilerConfig config(torch::profiler::impl::ProfilerState::KINETO);
    torch::autograd::profiler::prepareProfiler(config, activities);
    torch::autograd::profiler::enableProfiler(config, activities);
  }
  ~Tracing() {
    if (!path_.empty()) torch::autograd::profiler::disableProfiler()->save(path_);
  }
  Tracing(const Tracing&) = delete;
  Tracing& operator=(const Tracing&) = delete;

 private:
  std::string path_;
};

}  // namespace sam3::bench
