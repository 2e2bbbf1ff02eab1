#pragma once
#include <string>

// The kernels of native/kernels/kernels.cu as the CPU's compiler sees them, run as a GPU would: block after block, the
// lanes of a warp in turns, up to where they exchange numbers.
namespace sam3::emulator {

// As kernels::Launch. Throws std::out_of_range for a kernel that is not there.
void launch(const char* kernel, unsigned blocks, unsigned threads, void** arguments);

}  // namespace sam3::emulator
