#pragma once
#include <c10/core/Device.h>

#include <cstdint>
#include <functional>

namespace sam3 {

// Runs `body(begin, count)` over [0, total) in parts of at most `step`; a part for which memory ends is tried again in
// halves. Throws what `body` throws, ERR_OUT_OF_MEMORY where even one element does not fit.
void in_parts(int64_t total, int64_t step, c10::Device device, const std::function<void(int64_t, int64_t)>& body);

}  // namespace sam3
