#pragma once

namespace sam3::kernels {

// The text of kernels.cu, which the build puts into the library.
extern const char* const kKernelSource;

}  // namespace sam3::kernels
