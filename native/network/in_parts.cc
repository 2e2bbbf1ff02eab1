#include "network/in_parts.h"

#include <algorithm>

#include "core/error.h"
#include "network/device.h"

namespace sam3 {

void in_parts(int64_t total, int64_t step, c10::Device device, const std::function<void(int64_t, int64_t)>& body) {
  for (int64_t begin = 0; begin < total;) {
    const int64_t count = std::min(step, total - begin);
    try {
      body(begin, count);
      begin += count;
    } catch (const Error& error) {
      if (error.code() != ERR_OUT_OF_MEMORY || count == 1) throw;
      release_cached_memory(device);  // blocks of the wrong size for the smaller part
      step = count / 2;
    }
  }
}

}  // namespace sam3
