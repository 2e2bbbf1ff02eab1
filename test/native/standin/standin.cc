#include "standin/standin.h"

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>
#include <ATen/detail/PrivateUse1HooksInterface.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>
#include <torch/library.h>

#include <algorithm>
#include <atomic>

#include "core/stages.h"
#include "kernels/fused_operators.h"
#include "standin/clock.h"
#include "standin/counters.h"
#include "standin/memory.h"
#include "standin/operators.h"

namespace sam3::standin {
namespace {

Kernels current = Kernels::run;

// One stream; an event is the instant at which all that was asked for before it has ended.
struct Event {
  double instant = 0;
  int64_t number = 0;  // of the events that were recorded
};

struct Guard final : c10::impl::NoOpDeviceGuardImpl<kType> {
  void record(void** event, const c10::Stream&, const c10::DeviceIndex, const c10::EventFlag) const override {
    if (!*event) *event = new Event;
    at(*event) = {std::max(asked_until(), now_ms()), ++recorded_};
  }
  void block(void*, const c10::Stream&) const override {}
  bool queryEvent(void* event) const override { return at(event).instant <= now_ms(); }
  void synchronizeEvent(void* event) const override {
    {
      const std::lock_guard guard(mutex());
      // Who has waited for a later one does not wait again.
      if (at(event).number > awaited_) count_wait("event");
      awaited_ = std::max(awaited_, at(event).number);
    }
    wait_until(at(event).instant);
  }
  double elapsedTime(void* from, void* to, const c10::DeviceIndex) const override {
    return at(to).instant - at(from).instant;
  }
  void destroyEvent(void* event, const c10::DeviceIndex) const noexcept override { delete &at(event); }

 private:
  static Event& at(void* event) { return *static_cast<Event*>(event); }
  mutable std::atomic<int64_t> recorded_ = 0;
  mutable int64_t awaited_ = 0;
};

struct Hooks final : at::PrivateUse1HooksInterface {
  bool isBuilt() const override { return true; }
  bool isAvailable() const override { return true; }
  bool hasPrimaryContext(c10::DeviceIndex) const override { return true; }
  c10::DeviceIndex deviceCount() const override { return 1; }
  c10::DeviceIndex getCurrentDevice() const override { return 0; }
  void setCurrentDevice(c10::DeviceIndex) const override {}
  const at::Generator& getDefaultGenerator(c10::DeviceIndex) const override {
    return at::detail::getDefaultCPUGenerator();
  }
  bool isPinnedPtr(const void* address) const override {
    const std::lock_guard guard(mutex());
    return Memory::get().is_pinned(address);
  }
  at::Allocator* getPinnedMemoryAllocator() const override { return &Memory::get().pinned(); }
  void resizePrivateUse1Bytes(const c10::Storage& storage, size_t bytes) const override { resize(storage, bytes); }
};

// A GPU has kernels of its own where a CPU has them; a new backend would get the composite ones there, which are made
// of many small operators.
void register_like_cpu(torch::Library& aten) {
  auto& dispatcher = c10::Dispatcher::singleton();
  for (const auto& name : dispatcher.getAllOpNames()) {
    if (name.name.rfind("aten::", 0) != 0) continue;
    const std::string local = name.name.substr(6) + (name.overload_name.empty() ? "" : "." + name.overload_name);
    const auto op = dispatcher.findOp(name);
    if (has_own_kernel(local) || !op || !op->hasSchema() || !op->hasKernelForDispatchKey(c10::DispatchKey::CPU))
      continue;
    if (op->hasKernelForDispatchKey(c10::DispatchKey::CompositeExplicitAutograd) ||
        op->hasKernelForDispatchKey(c10::DispatchKey::CompositeExplicitAutogradNonFunctional) ||
        op->hasKernelForDispatchKey(c10::DispatchKey::CompositeImplicitAutograd))
      aten.impl(local.c_str(), torch::CppFunction::makeFromBoxedFunction<&run_on_cpu>());
  }
}

}  // namespace

Kernels kernels() {
  return current;
}

void set_kernels(Kernels kernels) {
  current = kernels;
}

void install() {
  static const c10::impl::DeviceGuardImplRegistrar guard(kType, new Guard);
  c10::SetAllocator(kType, &allocator(), /*priority=*/1);
  at::RegisterPrivateUse1HooksInterface(new Hooks);
  c10::register_privateuse1_backend("standin");
  // These stay for good: what they register goes with them.
  static torch::Library all(torch::Library::IMPL, "_", c10::DispatchKey::PrivateUse1, __FILE__, __LINE__);
  static torch::Library aten(torch::Library::IMPL, "aten", c10::DispatchKey::PrivateUse1, __FILE__, __LINE__);
  all.fallback(torch::CppFunction::makeFromBoxedFunction<&run_on_cpu>());
  register_kernels(aten);
  register_like_cpu(aten);
  // A GPU has them (native/kernels).
  kernels::register_operators();
  static torch::Library own(torch::Library::IMPL, "sam3", c10::DispatchKey::PrivateUse1, __FILE__, __LINE__);
  for (const char* name :
       {"apply_rope", "norm_of_sum", "relu_of_norm", "relu_of_shifted_norm", "layer_norm", "linear_gelu"})
    own.impl(name, torch::CppFunction::makeFromBoxedFunction<&run_on_cpu>());
  follow_methods();
  // Before only shapes are computed, for it compares numbers.
  for (const auto dtype : {at::kFloat, at::kBFloat16}) {
    const std::string why = kernels::prepare(c10::Device(kType, 0), dtype);
    TORCH_CHECK(why.empty(), why);
  }
}

}  // namespace sam3::standin
