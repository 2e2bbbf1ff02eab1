#pragma once
#include <cstdint>

namespace sam3::standin {

// Prints how fast `images` images go through the engine, with and without its pipeline, on a device whose seconds take
// `scale` of the host's. To be called behind install().
int pipeline_run(int64_t images, int64_t threads, double scale);

}  // namespace sam3::standin
