// sam3_native_bench: what the engine does in how much time, without Node.
//
// Reads JSON objects from standard input, one a line, and answers each with one. The first names a model (program,
// names, weights), a device and a dtype; each further one is a task (see tasks.h). A task that fails is answered with
// "error", and the next may follow. With the argument "masks" there is no model, and every object is a task about
// masks.
#include <c10/core/Device.h>

#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <map>
#include <string>

#include "calls.h"
#include "kernels/fused_operators.h"
#include "network/device.h"
#include "tasks.h"
#include "torch_cuda.h"
#include "tracing.h"

namespace {

using namespace sam3;
using namespace sam3::bench;

double free_memory(const ModelInfo& info) {
  return static_cast<double>(free_device_memory(c10::Device(info.device)));
}

// Why the engine's own kernels are not used; empty where they are.
std::string kernels_off(const ImageModelOptions& options) {
  const Target target = resolve_target(options.device, options.dtype);
  if (target.device.is_cpu()) return "a CPU needs none";
  const char* setting = std::getenv("SAM3_KERNELS");
  return setting ? std::string("SAM3_KERNELS=") + setting : kernels::prepare(target.device, target.dtype);
}

void load(Bench& bench, const Json& job) {
  open_torch_for(text(job, "device", "cpu"));
  EngineOptions options;
  options.model.device = text(job, "device", "cpu");
  options.model.dtype = text(job, "dtype", "auto");
  options.model.input_size = integer(job, "input_size", 0);
  options.model.max_batch = integer(job, "max_batch", 0);
  options.threads = static_cast<int>(integer(job, "threads", 0));
  const ProgramFiles files{job.at("program").as_string("program"), job.at("names").as_string("names"),
                           job.at("weights").as_string("weights")};
  Line line("load");
  std::string devices;
  for (const std::string& name : available_devices()) devices += (devices.empty() ? "" : " ") + name;
  line.add("devices", devices);
  Pending<ModelInfo> loaded;
  const Stopwatch watch;
  bench.engine = Engine::start(files, options, {}, loaded.callback());
  bench.info = loaded.value();
  line.add("ms", watch.ms())
      .add("device", bench.info.device)
      .add("dtype", bench.info.dtype)
      .add("without_kernels", kernels_off(options.model))
      .add("parameters", static_cast<double>(bench.info.parameters))
      .add("weight_bytes", static_cast<double>(bench.info.weight_bytes))
      .add("input_size", static_cast<double>(bench.info.input_size))
      .add("free_bytes", free_memory(bench.info))
      .print();
}

using Task = void (*)(Bench&, const Json&, Line&);

Task task_of(const std::string& kind) {
  static const std::map<std::string, Task> kinds = {
      {"segment", segment}, {"predict", predict}, {"video", video}, {"outputs", outputs}};
  const auto found = kinds.find(kind);
  if (found == kinds.end()) throw std::runtime_error("no task is called " + kind);
  return found->second;
}

void answer(Bench& bench, const Json& task) {
  const std::string kind = task.at("kind").as_string("kind");
  Line line(kind);
  line.add("name", text(task, "name", kind));
  // What the GPU did meanwhile, as a trace of Chrome's format.
  {
    const Tracing tracing(text(task, "trace", ""));
    task_of(kind)(bench, task, line);
  }
  line.add("free_bytes", free_memory(bench.info)).print();
}

void answer_masks(const Json& task) {
  Line line("masks");
  mask_task(task, line);
  line.print();
}

}  // namespace

int main(int argc, char** argv) {
  const bool masks = argc == 2 && std::string(argv[1]) == "masks";
  Bench bench;
  int failed = 0;
  for (std::string row; std::getline(std::cin, row);) {
    try {
      const Json request = Json::parse(row);
      if (masks)
        answer_masks(request);
      else if (bench.engine)
        answer(bench, request);
      else
        load(bench, request);
    } catch (const std::exception& error) {
      failed++;
      Line("error").add("error", std::string(error.what())).print();
      if (!bench.engine && !masks) break;
    }
  }
  return failed ? 1 : 0;
}
