#include "core/host_memory.h"

#include <cstddef>  // defines __GLIBC__
#ifdef __GLIBC__
#include <malloc.h>
#endif

namespace sam3 {

void keep_freed_host_memory() {
#ifdef __GLIBC__
  constexpr int kMiB = 1 << 20;
  mallopt(M_MMAP_THRESHOLD, 512 * kMiB);
  mallopt(M_TRIM_THRESHOLD, 1024 * kMiB);
  mallopt(M_TOP_PAD, 64 * kMiB);
#endif
}

void release_host_memory() {
#ifdef __GLIBC__
  malloc_trim(0);
#endif
}

}  // namespace sam3
