// Kernels for which LibTorch has several with all of the data read and written between them. NVRTC compiles this file
// at run time, without any header, for the dtype that it is told; the tests compile it for the CPU
// (test/native/kernels/emulator.h), where blocks and lanes are loops. Numbers are added in float, as in LibTorch's
// kernels; rows are read 8 numbers at a time.

typedef unsigned short sam3_bits16;
struct Bfloat16 {
  sam3_bits16 bits;
};
struct Float16 {
  sam3_bits16 bits;
};

#ifdef __CUDACC_RTC__
__device__ inline float float_of_bits(unsigned bits) {
  return __uint_as_float(bits);
}
__device__ inline unsigned bits_of_float(float value) {
  return __float_as_uint(value);
}
// The compiler makes 4 writes of some assignments.
__device__ inline void write_words(const unsigned* from, void* to) {
  asm volatile("st.v4.u32 [%0], {%1, %2, %3, %4};" ::"l"(to), "r"(from[0]), "r"(from[1]), "r"(from[2]), "r"(from[3])
               : "memory");
}
__device__ inline float to_float(Float16 value) {
  float wide;
  asm("cvt.f32.f16 %0, %1;" : "=f"(wide) : "h"(value.bits));
  return wide;
}
__device__ inline void from_float(float wide, Float16& value) {
  asm("cvt.rn.f16.f32 %0, %1;" : "=h"(value.bits) : "f"(wide));
}
#endif

__device__ inline float to_float(float value) {
  return value;
}
__device__ inline void from_float(float wide, float& value) {
  value = wide;
}
__device__ inline float to_float(Bfloat16 value) {
  return float_of_bits(static_cast<unsigned>(value.bits) << 16);
}
// To the nearest, of two the even one; what is no number stays none.
__device__ inline void from_float(float wide, Bfloat16& value) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
  asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(value.bits) : "f"(wide));
#else
  const unsigned bits = bits_of_float(wide);
  value.bits = static_cast<sam3_bits16>(wide != wide ? 0x7fc0u : (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
#endif
}

// 8 neighbours, at an address that divides by 16: one or two accesses of 16 bytes.
__device__ inline void read_words(const void* from, unsigned* to) {
  const uint4 words = *static_cast<const uint4*>(from);
  to[0] = words.x, to[1] = words.y, to[2] = words.z, to[3] = words.w;
}
__device__ inline void read8(const float* from, float* to) {
  unsigned words[8];
  read_words(from, words);
  read_words(from + 4, words + 4);
  for (int i = 0; i < 8; i++) to[i] = float_of_bits(words[i]);
}
__device__ inline void write8(const float* from, float* to) {
  unsigned words[8];
  for (int i = 0; i < 8; i++) words[i] = bits_of_float(from[i]);
  write_words(words, to);
  write_words(words + 4, to + 4);
}
template <class T>
__device__ inline void read8(const T* from, float* to) {
  unsigned words[4];
  read_words(from, words);
  for (int i = 0; i < 8; i++) to[i] = to_float(T{static_cast<sam3_bits16>(words[i / 2] >> (i % 2 * 16))});
}
template <class T>
__device__ inline void write8(const float* from, T* to) {
  unsigned words[4];
  for (int i = 0; i < 4; i++) {
    T low, high;
    from_float(from[2 * i], low);
    from_float(from[2 * i + 1], high);
    words[i] = low.bits | static_cast<unsigned>(high.bits) << 16;
  }
  write_words(words, to);
}

// 4 neighbours, at an address that divides by their size.
__device__ inline void read4(const float* from, float* to) {
  unsigned words[4];
  read_words(from, words);
  for (int i = 0; i < 4; i++) to[i] = float_of_bits(words[i]);
}
__device__ inline void write4(const float* from, float* to) {
  unsigned words[4];
  for (int i = 0; i < 4; i++) words[i] = bits_of_float(from[i]);
  write_words(words, to);
}
template <class T>
__device__ inline void read4(const T* from, float* to) {
  const uint2 words = *reinterpret_cast<const uint2*>(from);
  for (int i = 0; i < 4; i++)
    to[i] = to_float(T{static_cast<sam3_bits16>((i < 2 ? words.x : words.y) >> (i % 2 * 16))});
}
template <class T>
__device__ inline void write4(const float* from, T* to) {
  T v[4];
  for (int i = 0; i < 4; i++) from_float(from[i], v[i]);
  uint2 words;
  words.x = v[0].bits | static_cast<unsigned>(v[1].bits) << 16;
  words.y = v[2].bits | static_cast<unsigned>(v[3].bits) << 16;
  *reinterpret_cast<uint2*>(to) = words;
}

__device__ inline float sum_of_warp(float value) {
  for (int distance = 16; distance > 0; distance /= 2) value += __shfl_xor_sync(0xffffffffu, value, distance);
  return value;
}

// How a tensor lies: of 4 outer dimensions the sizes of the inner 3 and, in numbers, the steps of x and in pairs those
// of its table. The innermost dimension, of 8 * chunks numbers, has steps of 1.
struct Turned {
  unsigned total, chunks, sizes[3];
  long long steps[4], table_steps[4];
};

// Pairs of neighbours as complex numbers, times those of a table, in place. A thread turns 4 of them.
template <class T>
__device__ inline void turn(T* x, const float* table, const Turned& how) {
  unsigned rest = blockIdx.x * blockDim.x + threadIdx.x;
  if (rest >= how.total) return;
  const unsigned chunk = rest % how.chunks;
  rest /= how.chunks;
  long long at = 8ll * chunk, pair = 4ll * chunk;
  for (int d = 3; d > 0; d--) {
    const unsigned index = rest % how.sizes[d - 1];
    rest /= how.sizes[d - 1];
    at += index * how.steps[d];
    pair += index * how.table_steps[d];
  }
  at += rest * how.steps[0];
  pair += rest * how.table_steps[0];
  float v[8], by[8];
  read8(x + at, v);
  read8(table + 2 * pair, by);
  for (int i = 0; i < 8; i += 2) {
    const float real = v[i] * by[i] - v[i + 1] * by[i + 1];
    v[i + 1] = v[i] * by[i + 1] + v[i + 1] * by[i];
    v[i] = real;
  }
  write8(v, x + at);
}

// LayerNorm of x + shift, of x alone where there is no shift: a warp has a row of 8 * chunks numbers, all of it in
// registers, up to 256 * Parts.
template <class T, int Parts>
__device__ inline void norm_of_sum(T* out, const T* x, const T* shift, const T* weight, const T* bias, unsigned rows,
                                   unsigned chunks, float eps) {
  const unsigned row = blockIdx.x * (blockDim.x / 32) + threadIdx.x / 32, lane = threadIdx.x % 32;
  if (row >= rows) return;  // the whole warp
  const unsigned long long begin = 8ull * row * chunks;
  float v[8 * Parts], more[8], sum = 0;
  for (int part = 0; part < Parts; part++) {
    const unsigned chunk = part * 32 + lane;
    if (chunk >= chunks) continue;
    read8(x + begin + 8 * chunk, v + 8 * part);
    for (int i = 0; i < 8; i++) more[i] = 0;
    if (shift) read8(shift + 8 * chunk, more);
    for (int i = 0; i < 8; i++) sum += v[8 * part + i] += more[i];
  }
  const float mean = sum_of_warp(sum) / (8 * chunks);
  float squares = 0;
  for (int part = 0; part < Parts; part++) {
    if (part * 32 + lane >= chunks) continue;
    for (int i = 0; i < 8; i++) {
      const float off = v[8 * part + i] -= mean;
      squares += off * off;
    }
  }
  const float scale = rsqrtf(sum_of_warp(squares) / (8 * chunks) + eps);
  for (int part = 0; part < Parts; part++) {
    const unsigned chunk = part * 32 + lane;
    if (chunk >= chunks) continue;
    read8(weight + 8 * chunk, more);
    for (int i = 0; i < 8; i++) v[8 * part + i] *= scale * more[i];
    read8(bias + 8 * chunk, more);
    for (int i = 0; i < 8; i++) v[8 * part + i] += more[i];
    write8(v + 8 * part, out + begin + 8 * chunk);
  }
}

// LayerNorm of rows of 4 * Quads numbers, for which a warp is too much: a thread has a row.
template <class T, int Quads>
__device__ inline void norm_of_short(T* out, const T* x, const T* weight, const T* bias, unsigned rows, float eps) {
  const unsigned row = blockIdx.x * blockDim.x + threadIdx.x;
  if (row >= rows) return;
  const unsigned long long begin = 4ull * Quads * row;
  float v[4 * Quads], more[4], sum = 0, squares = 0;
  for (int quad = 0; quad < Quads; quad++) {
    read4(x + begin + 4 * quad, v + 4 * quad);
    for (int i = 0; i < 4; i++) sum += v[4 * quad + i];
  }
  const float mean = sum / (4 * Quads);
  for (int i = 0; i < 4 * Quads; i++) {
    const float off = v[i] -= mean;
    squares += off * off;
  }
  const float scale = rsqrtf(squares / (4 * Quads) + eps);
  for (int quad = 0; quad < Quads; quad++) {
    read4(weight + 4 * quad, more);
    for (int i = 0; i < 4; i++) v[4 * quad + i] *= scale * more[i];
    read4(bias + 4 * quad, more);
    for (int i = 0; i < 4; i++) v[4 * quad + i] += more[i];
    write4(v + 4 * quad, out + begin + 4 * quad);
  }
}

// Maps of prompts [prompts,pixels,8*chunks], and of images, of which each prompt has one; or one row of 8*chunks
// numbers for all pixels in place of those (`row` is 1). A warp has `run` pixels of a prompt, warps that follow one
// another the same pixels of all prompts, so that those of their images are read once. A lane has 8 channels; `lanes`
// of them, a power of 2, are a group.
struct Maps {
  unsigned prompts, pixels, chunks, lanes, run, runs, row;
  float eps;
};

struct Place {
  unsigned unit, prompt, lane, count, its_step;
  unsigned long long mine, its;  // where the lane's first numbers are

  __device__ Place(const Maps& how, const long long* image) {
    unit = blockIdx.x * (blockDim.x / 32) + threadIdx.x / 32;
    lane = threadIdx.x % 32;
    prompt = unit % how.prompts;
    const unsigned first = unit / how.prompts * how.run;
    count = first + how.run < how.pixels ? how.run : how.pixels - first;
    mine = 8 * ((static_cast<unsigned long long>(prompt) * how.pixels + first) * how.chunks + lane);
    its_step = how.row ? 0 : 8 * how.chunks;
    its = 8 * lane;
    if (!how.row) its += 8 * (static_cast<unsigned long long>(image[prompt]) * how.pixels + first) * how.chunks;
  }
};

// Mean and sum of squared differences from it, of the sums of each group in each run: [runs,prompts,groups,2].
template <class T>
__device__ inline void moments(float* parts, const T* x, const T* other, const long long* image, const Maps& how) {
  if (blockIdx.x * (blockDim.x / 32) + threadIdx.x / 32 >= how.runs * how.prompts) return;  // the whole warp
  const Place place(how, image);
  float from = 0, sum = 0, squares = 0;  // differences from one of the numbers, which keep their digits
  if (place.lane < how.chunks)
    for (unsigned i = 0; i < place.count; i++) {
      float v[8], more[8];
      read8(x + place.mine + 8 * i * how.chunks, v);
      read8(other + place.its + i * place.its_step, more);
      if (i == 0) from = v[0] + more[0];
      for (int k = 0; k < 8; k++) {
        const float off = v[k] + more[k] - from;
        sum += off;
        squares += off * off;
      }
    }
  float n = 8 * place.count, mean = from + sum / n, rest = squares - sum * sum / n;
  for (unsigned distance = 1; distance < how.lanes; distance *= 2) {
    const float its_mean = __shfl_xor_sync(0xffffffffu, mean, distance);
    rest += __shfl_xor_sync(0xffffffffu, rest, distance) + (its_mean - mean) * (its_mean - mean) * (n / 2);
    mean = (mean + its_mean) / 2;
    n *= 2;
  }
  if (place.lane >= how.chunks || place.lane % how.lanes != 0) return;
  float* part = parts + 2ull * (place.unit * (how.chunks / how.lanes) + place.lane / how.lanes);
  part[0] = mean;
  part[1] = rest;
}

// Mean and 1 / standard deviation of each group, of its runs: [prompts,groups,2]. A warp has a group.
__device__ inline void whole_moments(float* whole, const float* parts, const Maps& how) {
  const unsigned groups = how.chunks / how.lanes, lane = threadIdx.x % 32;
  const unsigned unit = blockIdx.x * (blockDim.x / 32) + threadIdx.x / 32;
  if (unit >= how.prompts * groups) return;  // the whole warp
  float n = 0, mean = 0, rest = 0;
  for (unsigned r = lane; r < how.runs; r += 32) {
    const float* part = parts + 2ull * (r * how.prompts * groups + unit);
    const unsigned first = r * how.run;
    const float more = 8 * how.lanes * (first + how.run < how.pixels ? how.run : how.pixels - first);
    const float off = part[0] - mean, all = n + more;
    rest += part[1] + off * off * (n * more / all);
    mean += off * (more / all);
    n = all;
  }
  for (int distance = 16; distance > 0; distance /= 2) {
    const float more = __shfl_xor_sync(0xffffffffu, n, distance), all = n + more;
    const float off = __shfl_xor_sync(0xffffffffu, mean, distance) - mean;
    rest += __shfl_xor_sync(0xffffffffu, rest, distance);
    if (more == 0) continue;
    rest += off * off * (n * more / all);
    mean += off * (more / all);
    n = all;
  }
  if (lane != 0) return;
  whole[2 * unit] = mean;
  whole[2 * unit + 1] = rsqrtf(rest / n + how.eps);
}

// x = ReLU(GroupNorm(x + other)).
template <class T>
__device__ inline void relu_of_norm(T* x, const T* other, const long long* image, const float* whole, const T* weight,
                                    const T* bias, const Maps& how) {
  if (blockIdx.x * (blockDim.x / 32) + threadIdx.x / 32 >= how.runs * how.prompts) return;
  const Place place(how, image);
  if (place.lane >= how.chunks) return;
  const float* group = whole + 2 * (place.prompt * (how.chunks / how.lanes) + place.lane / how.lanes);
  const float mean = group[0];
  float scale[8], shift[8], v[8], more[8];
  read8(weight + 8 * place.lane, scale);
  read8(bias + 8 * place.lane, shift);
  for (int k = 0; k < 8; k++) scale[k] *= group[1];
  for (unsigned i = 0; i < place.count; i++) {
    T* at = x + place.mine + 8 * i * how.chunks;
    read8(at, v);
    read8(other + place.its + i * place.its_step, more);
    for (int k = 0; k < 8; k++) {
      const float y = (v[k] + more[k] - mean) * scale[k] + shift[k];
      v[k] = y < 0 ? 0 : y;  // what is no number stays none
    }
    write8(v, at);
  }
}

#define SAM3_TURN(name, T)                                                                  \
  extern "C" __global__ void sam3_turn_##name(T* x, const float* table, const Turned how) { \
    turn(x, table, how);                                                                    \
  }
#define SAM3_NORM(name, T, parts)                                                                                   \
  extern "C" __global__ void sam3_norm_##name##_##parts(T* out, const T* x, const T* shift, const T* weight,        \
                                                        const T* bias, unsigned rows, unsigned chunks, float eps) { \
    norm_of_sum<T, parts>(out, x, shift, weight, bias, rows, chunks, eps);                                          \
  }
#define SAM3_SHORT(name, T, quads)                                                                                \
  extern "C" __global__ void sam3_short_norm_##name##_##quads(T* out, const T* x, const T* weight, const T* bias, \
                                                              unsigned rows, float eps) {                         \
    norm_of_short<T, quads>(out, x, weight, bias, rows, eps);                                                     \
  }
#define SAM3_MAPS(name, T)                                                                                         \
  extern "C" __global__ void sam3_moments_##name(float* parts, const T* x, const T* other, const long long* image, \
                                                 const Maps how) {                                                 \
    moments(parts, x, other, image, how);                                                                          \
  }                                                                                                                \
  extern "C" __global__ void sam3_whole_moments_##name(float* whole, const float* parts, const Maps how) {         \
    whole_moments(whole, parts, how);                                                                              \
  }                                                                                                                \
  extern "C" __global__ void sam3_relu_of_norm_##name(T* x, const T* other, const long long* image,                \
                                                      const float* whole, const T* weight, const T* bias,          \
                                                      const Maps how) {                                            \
    relu_of_norm(x, other, image, whole, weight, bias, how);                                                       \
  }
#define SAM3_OF_TYPE(name, T)                                                                                      \
  SAM3_TURN(name, T)                                                                                               \
  SAM3_NORM(name, T, 1)                                                                                            \
  SAM3_NORM(name, T, 2) SAM3_NORM(name, T, 4) SAM3_SHORT(name, T, 1) SAM3_SHORT(name, T, 2) SAM3_SHORT(name, T, 4) \
      SAM3_SHORT(name, T, 8) SAM3_MAPS(name, T)

#ifdef SAM3_FLOAT32
SAM3_OF_TYPE(float32, float)
#endif
#ifdef SAM3_BFLOAT16
SAM3_OF_TYPE(bfloat16, Bfloat16)
#endif
#ifdef SAM3_FLOAT16
SAM3_OF_TYPE(float16, Float16)
#endif
