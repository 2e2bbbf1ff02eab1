// Shapes of operators that LibTorch has no meta kernel in C++ for.
#include <ATen/ATen.h>
#include <ATen/ExpandUtils.h>

#include <set>
#include <string>

#include "standin/operators.h"

namespace sam3::standin {

bool infer_shapes(const c10::FunctionSchema& schema, torch::jit::Stack* stack) {
  const std::string& name = schema.name();
  const std::string& overload = schema.overload_name();
  const size_t count = schema.arguments().size(), begin = stack->size() - count;
  const auto tensor = [&](size_t argument) { return (*stack)[begin + argument].toTensor(); };
  const auto give = [&](std::initializer_list<at::Tensor> results) {
    stack->resize(begin);
    for (const at::Tensor& result : results) stack->emplace_back(result);
    return true;
  };
  if (name == "aten::native_layer_norm" || name == "aten::native_group_norm") {
    const at::Tensor x = tensor(0), one = at::empty({x.size(0)}, x.options().dtype(at::kFloat));
    return give({at::empty_like(x), one, one});
  }
  if (name == "aten::relu") return give({at::empty_like(tensor(0))});
  if (name == "aten::where" && overload == "self") {
    const at::Tensor condition = tensor(0), a = tensor(1), b = tensor(2);
    const auto size = at::infer_size(at::infer_size(condition.sizes(), a.sizes()), b.sizes());
    return give({at::empty(size, condition.options().dtype(at::result_type(a, b)))});
  }
  if (name == "aten::floor_divide" && overload.empty()) {
    const at::Tensor a = tensor(0), b = tensor(1);
    return give({at::empty(at::infer_size(a.sizes(), b.sizes()), a.options().dtype(at::result_type(a, b)))});
  }
  if (name == "aten::index_select" && overload.empty()) {
    const at::Tensor x = tensor(0);
    auto size = x.sizes().vec();
    size[at::maybe_wrap_dim((*stack)[begin + 1].toInt(), x.dim())] = tensor(2).numel();
    return give({at::empty(size, x.options())});
  }
  static const std::set<std::string> kElementwise{"aten::abs", "aten::polar", "aten::logical_not", "aten::logical_and",
                                                  "aten::logical_or"};
  if (overload == "out" && kElementwise.contains(name)) {
    const at::Tensor out = tensor(count - 1);
    auto size = tensor(0).sizes().vec();
    for (size_t i = 1; i + 1 < count; i++) size = at::infer_size(size, tensor(i).sizes());
    resize_output(out, size, {});
    return give({out});
  }
  return false;
}

}  // namespace sam3::standin
