#include "kernels/emulator.h"

#include <ucontext.h>

#include <array>
#include <bit>
#include <cmath>
#include <functional>
#include <map>
#include <memory>
#include <tuple>
#include <utility>
#include <vector>

// ---- what CUDA has beside C++

#define __device__
#define __global__
#define SAM3_FLOAT32
#define SAM3_BFLOAT16
#define SAM3_FLOAT16

namespace {

struct Index {
  unsigned x = 0;
};
struct alignas(16) uint4 {
  unsigned x, y, z, w;
};
struct alignas(8) uint2 {
  unsigned x, y;
};
Index blockIdx, blockDim, threadIdx;

// A warp whose lanes run as coroutines: each goes on to where it exchanges a number, then the next does.
class Warp {
 public:
  static constexpr unsigned kLanes = 32;
  static Warp* running;

  void run(unsigned first_thread, const std::function<void()>& body) {
    running = this;
    std::array<std::vector<char>, kLanes> stacks;
    for (unsigned lane = 0; lane < kLanes; lane++) {
      stacks[lane].resize(1 << 16);
      getcontext(&lanes_[lane]);
      lanes_[lane].uc_stack.ss_sp = stacks[lane].data();
      lanes_[lane].uc_stack.ss_size = stacks[lane].size();
      lanes_[lane].uc_link = &scheduler_;
      makecontext(&lanes_[lane], reinterpret_cast<void (*)()>(&Warp::enter), 0);
      ended_[lane] = false;
    }
    body_ = &body;
    for (bool left = true; left;) {
      left = false;
      for (lane_ = 0; lane_ < kLanes; lane_++) {
        if (ended_[lane_]) continue;
        threadIdx.x = first_thread + lane_;
        swapcontext(&scheduler_, &lanes_[lane_]);
        left = left || !ended_[lane_];
      }
    }
  }

  float exchange(float value, unsigned other) {
    const unsigned lane = lane_;
    given_[lane] = value;
    wait();
    const float taken = given_[lane ^ other];
    wait();
    return taken;
  }

 private:
  static void enter() {
    (*running->body_)();
    running->ended_[running->lane_] = true;
  }
  void wait() { swapcontext(&lanes_[lane_], &scheduler_); }

  std::array<ucontext_t, kLanes> lanes_;
  ucontext_t scheduler_;
  std::array<bool, kLanes> ended_{};
  std::array<float, kLanes> given_{};
  const std::function<void()>* body_ = nullptr;
  unsigned lane_ = 0;
};
Warp* Warp::running = nullptr;

float __shfl_xor_sync(unsigned, float value, int other) {
  return Warp::running->exchange(value, static_cast<unsigned>(other));
}
float rsqrtf(float value) {
  return 1 / std::sqrt(value);
}
float float_of_bits(unsigned bits) {
  return std::bit_cast<float>(bits);
}
unsigned bits_of_float(float value) {
  return std::bit_cast<unsigned>(value);
}
void write_words(const unsigned* from, void* to) {
  *static_cast<uint4*>(to) = {from[0], from[1], from[2], from[3]};
}
float to_float(struct Float16 value);
void from_float(float wide, struct Float16& value);

#include "kernels/kernels.cu"

float to_float(Float16 value) {
  return static_cast<float>(std::bit_cast<_Float16>(value.bits));
}
void from_float(float wide, Float16& value) {
  value.bits = std::bit_cast<sam3_bits16>(static_cast<_Float16>(wide));
}

using Call = std::function<void(void**)>;

// A kernel that takes its arguments by their addresses.
template <class... Arguments>
Call by_address(void (*kernel)(Arguments...)) {
  return [kernel](void** arguments) {
    [&]<size_t... I>(std::index_sequence<I...>) {
      kernel(*static_cast<std::remove_const_t<Arguments>*>(arguments[I])...);
    }(std::index_sequence_for<Arguments...>{});
  };
}

const std::map<std::string, Call> kKernels{
#define SAM3_NAMED(name) {#name, by_address(&name)},
#define SAM3_NAMED_OF(type)              \
  SAM3_NAMED(sam3_turn_##type)           \
  SAM3_NAMED(sam3_norm_##type##_1)       \
  SAM3_NAMED(sam3_norm_##type##_2)       \
  SAM3_NAMED(sam3_norm_##type##_4)       \
  SAM3_NAMED(sam3_short_norm_##type##_1) \
  SAM3_NAMED(sam3_short_norm_##type##_2) \
  SAM3_NAMED(sam3_short_norm_##type##_4) \
  SAM3_NAMED(sam3_short_norm_##type##_8) \
  SAM3_NAMED(sam3_moments_##type) SAM3_NAMED(sam3_whole_moments_##type) SAM3_NAMED(sam3_relu_of_norm_##type)
    SAM3_NAMED_OF(float32) SAM3_NAMED_OF(bfloat16) SAM3_NAMED_OF(float16)};

}  // namespace

namespace sam3::emulator {

void launch(const char* kernel, unsigned blocks, unsigned threads, void** arguments) {
  const Call& call = kKernels.at(kernel);
  const auto warp = std::make_unique<Warp>();
  blockDim.x = threads;
  for (blockIdx.x = 0; blockIdx.x < blocks; blockIdx.x++)
    for (unsigned first = 0; first < threads; first += Warp::kLanes) warp->run(first, [&] { call(arguments); });
}

}  // namespace sam3::emulator
