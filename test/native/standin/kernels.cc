// Operators that are no matter of computing: memory, views and copies; and attention and convolution, for which a
// backend has hooks of their own.
#include <ATen/ATen.h>
#include <ATen/EmptyTensor.h>
#include <ATen/native/DispatchStub.h>
#include <ATen/native/transformers/attention.h>
#include <ATen/native/transformers/sdp_utils_cpp.h>
#include <ATen/ops/_reshape_alias_native.h>
#include <ATen/ops/as_strided_native.h>
#include <ATen/ops/view_native.h>

#include <set>

#include "standin/clock.h"
#include "standin/counters.h"
#include "standin/memory.h"
#include "standin/operators.h"

namespace sam3::standin {
namespace {

Reader& reader() {
  static Reader one;
  return one;
}

// ------------------------------------------------------------------------------------------------- memory, views

at::Tensor empty(c10::IntArrayRef size, std::optional<at::ScalarType> dtype, std::optional<at::Layout>,
                 std::optional<at::Device>, std::optional<bool>, std::optional<at::MemoryFormat> format) {
  return at::detail::empty_generic(size, &allocator(), c10::DispatchKeySet(c10::DispatchKey::PrivateUse1),
                                   dtype.value_or(at::kFloat), format);
}

at::Tensor empty_strided(c10::IntArrayRef size, c10::IntArrayRef stride, std::optional<at::ScalarType> dtype,
                         std::optional<at::Layout>, std::optional<at::Device>, std::optional<bool>) {
  return at::detail::empty_strided_generic(
      size, stride, &allocator(), c10::DispatchKeySet(c10::DispatchKey::PrivateUse1), dtype.value_or(at::kFloat));
}

// ------------------------------------------------------------------------------------------------- copies

void copy_on_device(at::Tensor& to, const at::Tensor& from) {
  {
    const std::lock_guard guard(mutex());
    Memory& memory = Memory::get();
    const bool varies = count_launch("copy_ (on the device)", {&from});
    // A part that varies makes the whole vary.
    if (varies || to.nbytes() == to.storage().nbytes()) memory.set_varies(to, varies);
  }
  ask(0, bytes_of(to) + bytes_of(from));
  if (kernels() == Kernels::shapes) return;
  at::Tensor target = alias_of(to);
  target.copy_(alias_of(from));
}

// One piece that lies in both places alike. Only copies from and to pinned memory let the host go on.
void transfer(at::Tensor& to, const at::Tensor& from, bool non_blocking) {
  const bool upload = on_device(to);
  ask_for_copy(static_cast<double>(to.nbytes()));
  bool waits = false;
  {
    const std::lock_guard guard(mutex());
    Counts& counts = here();
    (upload ? counts.uploads : counts.downloads)++;
    (upload ? counts.uploaded_bytes : counts.downloaded_bytes) += static_cast<int64_t>(to.nbytes());
    if (!non_blocking || !Memory::get().is_pinned((upload ? from : to).storage().data())) {
      std::string sizes;
      for (const auto size : to.sizes()) sizes += (sizes.empty() ? "" : ",") + std::to_string(size);
      waits = true;
      count_wait(std::string(upload ? "upload " : "download ") + c10::toString(to.scalar_type()) + " [" + sizes + "]");
    }
    if (upload) Memory::get().set_varies(to, is_loaded());
  }
  if (waits) wait_until(asked_until());
  if (kernels() == Kernels::shapes) {
    if (!upload && reader()) reader()(to);
    return;
  }
  at::Tensor target = upload ? alias_of(to) : to;
  target.copy_(upload ? from : alias_of(from));
}

// As at::native::copy_kernel_cuda does it, temporaries included.
at::Tensor& copy_(at::Tensor& self, const at::Tensor& src, bool non_blocking) {
  if (self.is_same(src) || self.numel() == 0) return self;
  if (on_device(self) && on_device(src)) {
    copy_on_device(self, src);
    return self;
  }
  const at::Tensor from = src.expand(self.sizes());
  const bool alike =
      self.dtype() == from.dtype() && ((self.is_contiguous() && from.is_contiguous()) ||
                                       (self.is_non_overlapping_and_dense() && self.strides() == from.strides()));
  if (alike) {
    transfer(self, from, non_blocking);
    return self;
  }
  at::Tensor to = self.is_contiguous() ? self : at::empty_like(self, at::MemoryFormat::Contiguous);
  to.copy_(from.to(self.dtype()).contiguous(), non_blocking);
  if (!to.is_same(self)) self.copy_(to, non_blocking);
  return self;
}

at::Tensor copy_from(const at::Tensor& self, const at::Tensor& dst, bool non_blocking) {
  at::Tensor to = dst;
  copy_(to, self, non_blocking);
  return to;
}

at::Scalar local_scalar_dense(const at::Tensor& self) {
  {
    const std::lock_guard guard(mutex());
    here().downloads++;
    here().downloaded_bytes += static_cast<int64_t>(self.element_size());
    count_wait("item()");
  }
  wait_until(asked_until());
  if (kernels() == Kernels::shapes) return 0;
  return at::_local_scalar_dense(alias_of(self));
}

// ------------------------------------------------------------------------------------------------- hooks

int64_t choose_attention(const at::Tensor&, const at::Tensor&, const at::Tensor&, const std::optional<at::Tensor>&,
                         double, bool, std::optional<double>, bool) {
  return static_cast<int64_t>(sdp::SDPBackend::overrideable);
}

using AttentionResults = std::tuple<at::Tensor, at::Tensor, at::Tensor, at::Tensor, c10::SymInt, c10::SymInt,
                                    at::Tensor, at::Tensor, at::Tensor>;

AttentionResults attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                           const std::optional<at::Tensor>& mask, double dropout, bool causal, bool,
                           std::optional<double> scale) {
  const std::string name = "scaled_dot_product_attention";
  const bool varies = count_launch(name, {&q, &k, &v});
  const bool masked = mask && mask->defined();
  for (const at::Tensor* tensor : {&q, &k, &v})
    if (!on_device(*tensor)) mixed(name, "q, k or v", *tensor);
  if (masked && !on_device(*mask)) mixed(name, "mask", *mask);
  const double scores = 2.0 * static_cast<double>(q.size(0) * q.size(1) * q.size(2) * k.size(2));
  ask(scores * static_cast<double>(q.size(3) + v.size(3)),
      bytes_of(q) * 2 + bytes_of(k) + bytes_of(v) + (masked ? bytes_of(*mask) : 0));
  at::Tensor out;
  if (kernels() == Kernels::shapes) {
    out = at::empty({q.size(0), q.size(2), q.size(1), v.size(3)}, q.options()).transpose(1, 2);
  } else {
    Call call;
    std::optional<at::Tensor> bias;
    if (masked) bias = call.enter(*mask);
    out = call.leave(
        at::scaled_dot_product_attention(call.enter(q), call.enter(k), call.enter(v), bias, dropout, causal, scale));
  }
  marked(out, varies);
  return {out, {}, {}, {}, q.sym_size(2), k.sym_size(2), {}, {}, {}};
}

at::Tensor convolution(const at::Tensor& x, const at::Tensor& weight, const std::optional<at::Tensor>& bias,
                       c10::SymIntArrayRef stride, c10::SymIntArrayRef padding, c10::SymIntArrayRef dilation,
                       bool transposed, c10::SymIntArrayRef output_padding, c10::SymInt groups) {
  const std::string name = transposed ? "convolution (transposed)" : "convolution";
  const bool varies = count_launch(name, {&x, &weight}), biased = bias && bias->defined();
  if (biased) count_launch(name + ": its bias", {&x, &weight});
  for (const at::Tensor* tensor : {&x, &weight})
    if (!on_device(*tensor)) mixed(name, "input or weight", *tensor);
  if (biased && !on_device(*bias)) mixed(name, "bias", *bias);
  if (kernels() == Kernels::shapes) {
    std::vector<int64_t> size{x.size(0), transposed ? weight.size(1) * groups.expect_int() : weight.size(0)};
    for (int64_t d = 0; d + 2 < x.dim(); d++) {
      const int64_t step = stride[d].expect_int(), pad = padding[d].expect_int();
      const int64_t reach = dilation[d].expect_int() * (weight.size(d + 2) - 1) + 1, side = x.size(d + 2);
      size.push_back(transposed ? (side - 1) * step - 2 * pad + reach + output_padding[d].expect_int()
                                : (side + 2 * pad - reach) / step + 1);
    }
    at::Tensor out = at::empty(size, x.options());
    const auto taps = static_cast<double>(weight.numel() / weight.size(0));
    ask(2 * taps * static_cast<double>(transposed ? x.numel() : out.numel()),
        bytes_of(x) + bytes_of(weight) + bytes_of(out));
    if (biased) ask(0, 2 * bytes_of(out));
    return marked(std::move(out), varies);
  }
  Call call;
  std::optional<at::Tensor> seen;
  if (biased) seen = call.enter(*bias);
  return marked(call.leave(at::convolution_symint(call.enter(x), call.enter(weight), seen, stride, padding, dilation,
                                                  transposed, output_padding, groups)),
                varies);
}

}  // namespace

void set_reader(Reader made) {
  reader() = std::move(made);
}

const at::Tensor& resize_output(const at::Tensor& self, c10::IntArrayRef size, std::optional<at::MemoryFormat>) {
  const size_t elements = static_cast<size_t>(self.storage_offset() + c10::multiply_integers(size));
  if (elements * self.element_size() > self.storage().nbytes()) resize(self.storage(), elements * self.element_size());
  self.unsafeGetTensorImpl()->set_sizes_contiguous(size);
  return self;
}

bool has_own_kernel(const std::string& name) {
  static const std::set<std::string> kNames{"empty.memory_format",
                                            "empty_strided",
                                            "as_strided",
                                            "view",
                                            "_reshape_alias",
                                            "resize_",
                                            "copy_",
                                            "_copy_from",
                                            "_local_scalar_dense",
                                            "convolution_overrideable",
                                            "_scaled_dot_product_fused_attention_overrideable",
                                            "_fused_sdp_choice"};
  return kNames.contains(name);
}

void register_kernels(torch::Library& aten) {
  aten.impl("empty.memory_format", &empty);
  aten.impl("empty_strided", &empty_strided);
  aten.impl("as_strided", &at::native::as_strided_tensorimpl);
  aten.impl("view", &at::native::view);
  aten.impl("_reshape_alias", &at::native::_reshape_alias);
  aten.impl("resize_", &resize_output);
  aten.impl("copy_", &copy_);
  aten.impl("_copy_from", &copy_from);
  aten.impl("_local_scalar_dense", &local_scalar_dense);
  aten.impl("convolution_overrideable", &convolution);
  aten.impl("_scaled_dot_product_fused_attention_overrideable", &attention);
  at::native::_fused_sdp_choice_stub.set_privateuse1_dispatch_ptr(&choose_attention);
}

}  // namespace sam3::standin
