#include "kernels/launch.h"

#include <ATen/ExpandUtils.h>
#include <ATen/ops/empty.h>

#include <array>
#include <limits>

namespace sam3::kernels {
namespace {

constexpr int64_t kNumbers = 8;          // that a thread reads at once
constexpr unsigned kThreads = 128;       // of a block
constexpr int64_t kWidest = 4 * 32 * 8;  // row that a warp holds

const char* dtype_suffix(c10::ScalarType dtype) {
  switch (dtype) {
    case at::kFloat: return "float32";
    case at::kBFloat16: return "bfloat16";
    case at::kHalf: return "float16";
    default: return nullptr;
  }
}

bool is_aligned(const at::Tensor& tensor) {
  return reinterpret_cast<uintptr_t>(tensor.const_data_ptr()) % 16 == 0;
}

// As `Turned` of kernels.cu.
struct Turned {
  unsigned total, chunks, sizes[3];
  long long steps[4], table_steps[4];
};

struct Dimension {
  int64_t size, step, table_step;
};

// The outer dimensions of x and its table, those that follow one another in both as one.
std::vector<Dimension> outer_dimensions(const at::Tensor& x, const at::Tensor& table) {
  std::vector<Dimension> found;
  for (int64_t d = 0; d + 1 < x.dim(); d++) {
    if (x.size(d) == 1) continue;
    const Dimension one{x.size(d), x.stride(d), table.stride(d)};
    if (!found.empty() && found.back().step == one.step * one.size &&
        found.back().table_step == one.table_step * one.size)
      found.back() = {found.back().size * one.size, one.step, one.table_step};
    else
      found.push_back(one);
  }
  return found;
}

// Whether a norm of rows can be made of these: `rows` are weights of one row each, numbers are read `step` at a time.
bool fits_norm(const at::Tensor& out, const at::Tensor& x, std::initializer_list<const at::Tensor*> rows, int64_t step,
               int64_t widest) {
  if (!dtype_suffix(x.scalar_type()) || x.dim() < 1 || x.numel() == 0) return false;
  const int64_t width = x.size(-1);
  if (width % step != 0 || width > widest || x.numel() / width > std::numeric_limits<int>::max()) return false;
  for (const at::Tensor* row : rows)
    if (row->scalar_type() != x.scalar_type() || row->sizes() != at::IntArrayRef{width} || !row->is_contiguous() ||
        !is_aligned(*row))
      return false;
  return x.is_contiguous() && out.is_contiguous() && is_aligned(x) && is_aligned(out);
}

// LayerNorm of rows, a warp for each; `shift` may be null.
bool launch_norm(const Launch& launch, at::Tensor& out, const at::Tensor& x, const void* shift,
                 const at::Tensor& weight, const at::Tensor& bias, double eps) {
  const int64_t width = x.size(-1), parts = width <= 256 ? 1 : width <= 512 ? 2 : 4;
  constexpr unsigned kRows = kThreads / 32;  // of a block
  void* to = out.data_ptr();
  std::array<const void*, 4> from{x.const_data_ptr(), shift, weight.const_data_ptr(), bias.const_data_ptr()};
  auto rows = static_cast<unsigned>(x.numel() / width), chunks = static_cast<unsigned>(width / kNumbers);
  auto epsilon = static_cast<float>(eps);
  std::array<void*, 8> arguments{&to, &from[0], &from[1], &from[2], &from[3], &rows, &chunks, &epsilon};
  const std::string name = std::string("sam3_norm_") + dtype_suffix(x.scalar_type()) + "_" + std::to_string(parts);
  launch(name.c_str(), (rows + kRows - 1) / kRows, kThreads, arguments.data());
  return true;
}

// Maps [prompts,channels,h,w], channels last, and what is added to them: of images, by `index`, or one row.
bool launch_maps(const Launch& launch, const at::Tensor& x, const at::Tensor& other, const at::Tensor* index,
                 const at::Tensor& weight, const at::Tensor& bias, int64_t groups, double eps) {
  const char* suffix = dtype_suffix(x.scalar_type());
  if (!suffix || x.dim() != 4 || x.numel() == 0 || groups < 1) return false;
  const int64_t channels = x.size(1), pixels = x.size(2) * x.size(3), prompts = x.size(0);
  if (channels % (groups * kNumbers) != 0 || channels > 32 * kNumbers) return false;
  const int64_t lanes = channels / groups / kNumbers;
  if ((lanes & (lanes - 1)) != 0 || !x.is_contiguous(at::MemoryFormat::ChannelsLast)) return false;
  for (const at::Tensor* tensor : {&other, &weight, &bias})
    if (tensor->scalar_type() != x.scalar_type() || !is_aligned(*tensor)) return false;
  for (const at::Tensor* row : {&weight, &bias})
    if (row->sizes() != at::IntArrayRef{channels} || !row->is_contiguous()) return false;
  if (!is_aligned(x)) return false;

  constexpr int64_t kRun = 64;
  const int64_t runs = (pixels + kRun - 1) / kRun;
  if (runs * prompts > std::numeric_limits<int>::max()) return false;
  // As `Maps` of kernels.cu.
  struct {
    unsigned prompts, pixels, chunks, lanes, run, runs, row;
    float eps;
  } how{static_cast<unsigned>(prompts),
        static_cast<unsigned>(pixels),
        static_cast<unsigned>(channels / kNumbers),
        static_cast<unsigned>(lanes),
        static_cast<unsigned>(kRun),
        static_cast<unsigned>(runs),
        index ? 0u : 1u,
        static_cast<float>(eps)};
  const auto floats = x.options().dtype(at::kFloat);
  const at::Tensor parts = at::empty({runs, prompts, groups, 2}, floats),
                   whole = at::empty({prompts, groups, 2}, floats);
  void *x_data = x.data_ptr(), *parts_data = parts.data_ptr(), *whole_data = whole.data_ptr();
  const void *other_data = other.const_data_ptr(), *index_data = index ? index->const_data_ptr() : nullptr,
             *weight_data = weight.const_data_ptr(), *bias_data = bias.const_data_ptr();
  const auto run = [&](const char* kernel, int64_t warps, void** arguments) {
    constexpr int64_t kWarps = kThreads / 32;
    launch((std::string("sam3_") + kernel + "_" + suffix).c_str(), static_cast<unsigned>((warps + kWarps - 1) / kWarps),
           kThreads, arguments);
  };
  std::array<void*, 5> of_moments{&parts_data, &x_data, &other_data, &index_data, &how};
  std::array<void*, 3> of_whole{&whole_data, &parts_data, &how};
  std::array<void*, 7> of_norm{&x_data, &other_data, &index_data, &whole_data, &weight_data, &bias_data, &how};
  run("moments", runs * prompts, of_moments.data());
  run("whole_moments", prompts * groups, of_whole.data());
  run("relu_of_norm", runs * prompts, of_norm.data());
  return true;
}

}  // namespace

std::vector<std::string> kernel_names(c10::ScalarType dtype) {
  const char* suffix = dtype_suffix(dtype);
  if (!suffix) return {};
  std::vector<std::string> names;
  for (const char* kernel : {"turn", "moments", "whole_moments", "relu_of_norm"})
    names.push_back(std::string("sam3_") + kernel + "_" + suffix);
  for (const char* parts : {"1", "2", "4"}) names.push_back(std::string("sam3_norm_") + suffix + "_" + parts);
  for (const char* quads : {"1", "2", "4", "8"})
    names.push_back(std::string("sam3_short_norm_") + suffix + "_" + quads);
  return names;
}

bool launch_apply_rope(const Launch& launch, const at::Tensor& x, const at::Tensor& rope) {
  const char* suffix = dtype_suffix(x.scalar_type());
  if (!suffix || rope.scalar_type() != at::kComplexFloat || x.dim() < 1 || x.numel() == 0) return false;
  const int64_t width = x.size(-1);
  if (width % kNumbers != 0 || x.stride(-1) != 1) return false;
  auto pairs = x.sizes().vec();
  pairs.back() = width / 2;
  if (!at::is_expandable_to(rope.sizes(), pairs)) return false;
  const at::Tensor table = rope.expand(pairs);
  const auto dimensions = outer_dimensions(x, table);
  if (table.stride(-1) != 1 || !is_aligned(x) || !is_aligned(table) || dimensions.size() > 4) return false;

  const int64_t total = x.numel() / kNumbers;
  if (total > std::numeric_limits<unsigned>::max() - kThreads) return false;
  Turned how{static_cast<unsigned>(total), static_cast<unsigned>(width / kNumbers), {1, 1, 1}, {}, {}};
  for (size_t i = 0; i < dimensions.size(); i++) {
    const size_t d = 4 - dimensions.size() + i;
    const auto& [size, step, table_step] = dimensions[i];
    // 16 bytes of x are 8 numbers, or 4; of the table 2 pairs.
    if (step % kNumbers != 0 || table_step % 2 != 0) return false;
    if (d > 0) how.sizes[d - 1] = static_cast<unsigned>(size);
    how.steps[d] = step;
    how.table_steps[d] = table_step;
  }
  void* x_data = x.data_ptr();
  const void* table_data = table.const_data_ptr();
  std::array<void*, 3> arguments{&x_data, &table_data, &how};
  launch((std::string("sam3_turn_") + suffix).c_str(), (how.total + kThreads - 1) / kThreads, kThreads,
         arguments.data());
  return true;
}

bool launch_norm_of_sum(const Launch& launch, at::Tensor& out, const at::Tensor& x, const at::Tensor& shift,
                        const at::Tensor& weight, const at::Tensor& bias, double eps) {
  return fits_norm(out, x, {&shift, &weight, &bias}, kNumbers, kWidest) &&
         launch_norm(launch, out, x, shift.const_data_ptr(), weight, bias, eps);
}

bool launch_layer_norm(const Launch& launch, at::Tensor& out, const at::Tensor& x, const at::Tensor& weight,
                       const at::Tensor& bias, double eps) {
  if (x.dim() < 1) return false;
  const int64_t width = x.size(-1);
  const bool is_short = width == 4 || width == 8 || width == 16 || width == 32;
  if (!fits_norm(out, x, {&weight, &bias}, is_short ? 4 : kNumbers, kWidest)) return false;
  if (!is_short) return launch_norm(launch, out, x, nullptr, weight, bias, eps);
  void* to = out.data_ptr();
  std::array<const void*, 3> from{x.const_data_ptr(), weight.const_data_ptr(), bias.const_data_ptr()};
  auto rows = static_cast<unsigned>(x.numel() / width);
  auto epsilon = static_cast<float>(eps);
  std::array<void*, 6> arguments{&to, &from[0], &from[1], &from[2], &rows, &epsilon};
  const std::string name =
      std::string("sam3_short_norm_") + dtype_suffix(x.scalar_type()) + "_" + std::to_string(width / 4);
  launch(name.c_str(), (rows + kThreads - 1) / kThreads, kThreads, arguments.data());
  return true;
}

bool launch_relu_of_norm(const Launch& launch, const at::Tensor& x, const at::Tensor& other, const at::Tensor& index,
                         const at::Tensor& weight, const at::Tensor& bias, int64_t groups, double eps) {
  if (x.dim() != 4 || other.dim() != 4 || other.sizes().slice(1) != x.sizes().slice(1)) return false;
  if (index.scalar_type() != at::kLong || index.sizes() != at::IntArrayRef{x.size(0)}) return false;
  if (!index.is_contiguous() || !other.is_contiguous(at::MemoryFormat::ChannelsLast)) return false;
  return launch_maps(launch, x, other, &index, weight, bias, groups, eps);
}

bool launch_relu_of_shifted_norm(const Launch& launch, const at::Tensor& x, const at::Tensor& shift,
                                 const at::Tensor& weight, const at::Tensor& bias, int64_t groups, double eps) {
  if (x.dim() != 4 || shift.sizes() != at::IntArrayRef{x.size(1)} || !shift.is_contiguous()) return false;
  return launch_maps(launch, x, shift, nullptr, weight, bias, groups, eps);
}

}  // namespace sam3::kernels
