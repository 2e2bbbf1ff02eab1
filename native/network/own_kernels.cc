#include "network/own_kernels.h"

#include <torch/csrc/jit/api/function_impl.h>
#include <torch/csrc/jit/ir/ir.h>

#include <cstdlib>
#include <set>
#include <string_view>
#include <vector>

#include "kernels/fused_operators.h"

namespace sam3 {
namespace {

using torch::jit::Block;
using torch::jit::Node;

// The name of the function that a call is of; empty where it is no call.
std::string called_function(const Node* node) {
  if (node->kind() != c10::prim::CallFunction) return "";
  const auto type = node->input(0)->type()->cast<c10::FunctionType>();
  return type ? type->function()->name() : "";
}

void replace_calls(Block* block, const std::set<std::string>& functions, std::map<std::string, int64_t>& calls) {
  std::vector<Node*> found;
  for (Node* node : block->nodes()) {
    for (Block* inner : node->blocks()) replace_calls(inner, functions, calls);
    if (functions.contains(called_function(node))) found.push_back(node);
  }
  for (Node* node : found) {
    const std::string name = called_function(node);
    torch::jit::Graph* graph = block->owningGraph();
    Node* ours = graph->create(c10::Symbol::fromQualString("sam3::" + name), node->inputs().slice(1), 1);
    ours->insertBefore(node);
    ours->output()->copyMetadata(node->output());
    node->output()->replaceAllUsesWith(ours->output());
    node->destroy();
    calls[name]++;
  }
}

// Why there are none; empty where there are.
std::string why_not(const Target& target) {
  const char* setting = std::getenv("SAM3_KERNELS");
  if (target.device.is_cpu()) return "a CPU needs none";
  if (setting && std::string_view(setting) == "off") return "SAM3_KERNELS=off";
  return kernels::prepare(target.device, target.dtype);
}

}  // namespace

std::future<std::string> prepare_kernels(const Target& target) {
  return std::async(target.device.is_cpu() ? std::launch::deferred : std::launch::async, why_not, target);
}

OwnKernels use_kernels(const torch::jit::Module& module, c10::ScalarType dtype, std::future<std::string> why_not) {
  OwnKernels kernels;
  kernels.why_not = why_not.get();
  if (!kernels.why_not.empty()) return kernels;
  std::set<std::string> functions{"apply_rope", "norm_of_sum", "relu_of_norm", "relu_of_shifted_norm", "layer_norm"};
  // Its GELU is not the exact one: in half precision the difference drowns in what rounding does, in float32 it is all
  // the difference there is (docs/performance.md).
  if (dtype != at::kFloat) functions.insert("linear_gelu");
  for (torch::jit::Function* function : module._ivalue()->compilation_unit()->get_functions())
    if (auto* graph = torch::jit::tryToGraphFunction(*function))
      replace_calls(graph->graph()->block(), functions, kernels.calls);
  return kernels;
}

}  // namespace sam3
