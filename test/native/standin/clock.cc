#include "standin/clock.h"

#include <algorithm>
#include <chrono>
#include <thread>

#include "core/stages.h"
#include "standin/counters.h"

namespace sam3::standin {
namespace {

Card card;
double until = 0, busy = 0;  // under mutex()

void take(double seconds) {
  const std::lock_guard guard(mutex());
  if (card.scale == 0) return;
  const double ms = seconds * card.scale * 1e3;
  until = std::max(until, now_ms()) + ms;
  busy += ms;
}

}  // namespace

void set_card(const Card& chosen) {
  const std::lock_guard guard(mutex());
  card = chosen;
  until = now_ms();
  busy = 0;
}

void ask(double flops, double bytes) {
  take(std::max({flops / card.flops, bytes / card.bytes_per_second, card.least}));
}

void ask_for_copy(double bytes) {
  take(std::max(bytes / card.link_bytes_per_second, card.least));
}

double asked_until() {
  const std::lock_guard guard(mutex());
  return std::max(until, 0.0);
}

double asked_busy() {
  const std::lock_guard guard(mutex());
  return busy;
}

void wait_until(double ms) {
  const double left = ms - now_ms();
  if (left > 0) std::this_thread::sleep_for(std::chrono::duration<double, std::milli>(left));
}

double bytes_of(const at::Tensor& tensor) {
  double elements = 1;
  for (int64_t d = 0; d < tensor.dim(); d++)
    if (tensor.stride(d) != 0) elements *= static_cast<double>(tensor.size(d));
  return elements * static_cast<double>(tensor.element_size());
}

}  // namespace sam3::standin
