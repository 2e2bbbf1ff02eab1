#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <map>
#include <string>

// A device that is not there: a backend of LibTorch in host memory that the host may not touch. Each kernel runs on the
// CPU, or only its shapes are computed; what a GPU would be asked for is counted. It finds what a CPU forgives: host
// reads of device memory (SIGSEGV), host tensors among device tensors (an error), memory that is read before it is
// written (NaN). Time passes by a model (clock.h); of streams and the numerics of another device it knows nothing.
namespace sam3::standin {

// Registers the device "standin" with LibTorch, for the whole process; once.
void install();

// Whether kernels run, or only the shapes of what they would give are computed: then the network of the true size
// takes milliseconds, and what is read back is made up. Tensors that were made one way are of no use the other way.
enum class Kernels { run, shapes };
void set_kernels(Kernels kernels);
Kernels kernels();

// Fills in what a download reads where only shapes are computed: gets the host's tensor. Nothing is read without one.
using Reader = std::function<void(at::Tensor&)>;
void set_reader(Reader reader);

struct Counts {
  int64_t operators = 0;  // launches of a kernel; a convolution's bias is one more, as it is on CUDA
  int64_t constant = 0;   // of those: what they read does not depend on a call, so that it could be done once
  int64_t empty = 0;      // of those: there is nothing to compute
  int64_t uploads = 0, uploaded_bytes = 0;
  int64_t downloads = 0, downloaded_bytes = 0;
  int64_t waits = 0;  // the host waits until the device has done all that it was asked for
  std::map<std::string, int64_t> by_operator, by_constant, by_wait;

  Counts& operator+=(const Counts& other);
};

// Since the last reset(), by method of the program; what happens outside of all under "".
std::map<std::string, Counts> counts();
Counts total();
// The same as a table, with the operators of each method where `details`.
std::string describe(bool details);
void reset();

// From now on uploads are what a call was given; before, they are weights and constants.
void loaded();

int64_t peak_bytes();  // of the device's memory since the last reset()

}  // namespace sam3::standin
