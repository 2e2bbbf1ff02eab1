#include "network/program.h"

#include <ATen/Context.h>
#include <ATen/Functions.h>
#include <torch/csrc/jit/runtime/graph_executor.h>
#include <torch/csrc/jit/serialization/import.h>

#include <map>
#include <set>
#include <sstream>

#include "core/error.h"
#include "network/planned_attention.h"
#include "weights/weight_plan.h"

namespace sam3 {
namespace {

// The submodule that owns `path` ("a.b.weight") and the last part of the name.
std::pair<torch::jit::Module, std::string> owner_of(const torch::jit::Module& root, const std::string& path) {
  torch::jit::Module module = root;
  size_t begin = 0;
  for (size_t dot; (dot = path.find('.', begin)) != std::string::npos; begin = dot + 1) {
    const std::string part = path.substr(begin, dot - begin);
    if (!module.hasattr(part))
      throw Error(ERR_PROGRAM,
                  "The program has no parameter '" + path + "': program.pt and names.json do not belong together.",
                  "Export both again.");
    module = module.attr(part).toModule();
  }
  return {module, path.substr(begin)};
}

void set_parameter(const torch::jit::Module& root, const std::string& path, at::Tensor value) {
  auto [module, name] = owner_of(root, path);
  if (!module.hasattr(name))
    throw Error(ERR_PROGRAM,
                "The program has no parameter '" + path + "': program.pt and names.json do not belong together.",
                "Export both again.");
  module._ivalue()->setAttr(name, std::move(value));
}

}  // namespace

Program Program::load(const ProgramFiles& files, const Target& target,
                      const std::function<void(uint64_t, uint64_t)>& progress) {
  const c10::InferenceMode guard;
  torch::jit::getProfilingMode() = false;
  // Convolutions on a GPU use TF32 by default, with the mantissa of a float16: who asks for float32 wants its digits.
  if (!target.device.is_cpu() && target.dtype == at::kFloat) at::globalContext().setAllowTF32CuDNN(false);
  // On Hopper LibTorch would prefer cuDNN's attention everywhere: the first batch of every size would take a second
  // longer, and every frame of a video until its memory is full. PlannedAttention lets it where that pays.
  if (target.device.is_cuda()) at::globalContext().setSDPUseCuDNN(false);
  auto without_kernels = prepare_kernels(target);  // while the weights are read
  Program program;
  program.target_ = target;
  if (detect_format(files.weights) == WeightFormat::torchscript)
    program.load_checkpoint(files.weights, progress);
  else
    program.load_bound(files, progress);
  program.module_.eval();
  program.kernels_ = use_kernels(program.module_, target.dtype, std::move(without_kernels));
  program.count_weights();
  return program;
}

void Program::load_bound(const ProgramFiles& files, const std::function<void(uint64_t, uint64_t)>& progress) {
  if (files.program.empty() || files.names.empty())
    throw Error(ERR_PROGRAM, "'" + files.weights +
                                 "' holds weights only: a program (program.pt and names.json) is needed to run them.");
  module_ = translate(ERR_PROGRAM, "Loading the program '" + files.program + "'",
                      [&] { return torch::jit::load(files.program, std::nullopt, /*load_debug_files=*/false); });
  const NameMap names = NameMap::load(files.names);
  architecture_ = names.architecture();
  const auto source = open_weights(files.weights);
  const WeightPlan plan = plan_weights(names, *source);
  if (!plan.problem && files.for_video) plan.parts.require_video();
  std::set<std::string> absent;
  for (const ProgramTensor& tensor : names.tensors())
    if (!plan.has(tensor)) absent.insert(tensor.name);
  names.bind(
      *source, plan, target_.device, target_.dtype,
      [&](const std::string& name, at::Tensor value) { set_parameter(module_, name, std::move(value)); }, progress);
  parts_ = plan.parts;
  // The parameters of a part that the weights lack stay where the program has them, without memory.
  for (const auto& parameter : module_.named_parameters(/*recurse=*/true))
    if (parameter.value.is_meta() && !absent.contains(parameter.name))
      throw Error(ERR_PROGRAM, "The program's parameter '" + parameter.name + "' is not in '" + files.names + "'.",
                  "Export the program again.");
}

void Program::load_checkpoint(const std::string& path, const std::function<void(uint64_t, uint64_t)>& progress) {
  std::unordered_map<std::string, std::string> extra{{"sam3.json", ""}, {"config.json", ""}, {"tokenizer.json", ""}};
  module_ = translate(ERR_MODEL_FORMAT, "Loading the checkpoint '" + path + "'", [&] {
    return torch::jit::load(path, c10::Device(c10::kCPU), extra, /*load_debug_files=*/false);
  });
  if (extra["sam3.json"].empty())
    throw Error(ERR_MODEL_FORMAT,
                "'" + path + "' is a TorchScript file but no sam3-node checkpoint (sam3.json is not in it).",
                "Make one with `python -m scripts.export checkpoint`.");
  const CheckpointHeader header = parse_checkpoint(extra["sam3.json"], path);
  architecture_ = header.architecture;
  tokenizer_json_ = extra["tokenizer.json"];

  // One tensor at a time, so that the old and the new copy of only one lie side by side.
  std::vector<std::string> names;
  uint64_t total = 0, done = 0;
  for (const auto& parameter : module_.named_parameters(true)) {
    if (parameter.value.is_meta())
      throw Error(ERR_MODEL_FORMAT, "'" + path + "' is a program without weights.",
                  "Give a model folder, or a checkpoint made with `python -m scripts.export checkpoint`.");
    names.push_back(parameter.name);
    total += parameter.value.nbytes();
  }
  for (const std::string& name : names) {
    auto [module, leaf] = owner_of(module_, name);
    at::Tensor value = module.attr(leaf).toTensor();
    done += value.nbytes();
    const bool cast = value.is_floating_point() && !header.keep_float32.contains(name);
    set_parameter(module_, name, value.to(target_.device, cast ? target_.dtype : value.scalar_type()));
    if (progress) progress(done, total);
  }
}

void Program::count_weights() {
  for (const auto& parameter : module_.named_parameters(true)) {
    if (parameter.value.is_meta()) continue;
    parameters_ += parameter.value.numel();
    weight_bytes_ += static_cast<int64_t>(parameter.value.nbytes());
  }
}

c10::IValue Program::call(const char* method, std::vector<c10::IValue> inputs) const {
  const auto found = module_.find_method(method);
  if (!found)
    throw Error(ERR_PROGRAM, std::string("The program has no method '") + method + "'.",
                "Export it again with this version.");
  // On a GPU the optimizer hands element-wise operators to a compiler of its own, which fails for some of ours; and
  // what it specialises on the first shapes makes the first calls slow. The program's time is in a few large kernels.
  const torch::jit::GraphOptimizerEnabledGuard no_optimizer(false);
  return translate(ERR_INFERENCE, method, [&] { return (*found)(std::move(inputs)); });
}

std::vector<at::Tensor> Program::call_many(const char* method, std::vector<c10::IValue> inputs, size_t outputs) const {
  const c10::IValue result = call(method, std::move(inputs));
  std::vector<at::Tensor> tensors;
  if (result.isTuple())
    for (const auto& element : result.toTupleRef().elements()) tensors.push_back(element.toTensor());
  if (tensors.size() != outputs)
    throw Error(
        ERR_PROGRAM,
        std::string("The program's method '") + method + "' does not return " + std::to_string(outputs) + " tensors.",
        "Export it again with this version.");
  return tensors;
}

at::Tensor Program::encode_image(const at::Tensor& pixels, const std::function<void()>& between_layers) const {
  // One layer takes a large part of a second on a CPU, and next to nothing on a GPU.
  const int64_t step = target_.device.is_cpu() ? 1 : 8;
  // Full batches return in every service.
  constexpr int64_t kFullBatch = 8;
  const PlannedAttention planned(target_.device, pixels.size(0) >= kFullBatch);
  auto tokens = call("embed_patches", {pixels}).toTensor();
  for (int64_t layer = 0; layer < architecture_.vision_layers; layer += step) {
    between_layers();
    tokens = call("encode_layers", {tokens, layer, step}).toTensor();
  }
  return call("join_tokens", {tokens}).toTensor();
}

Program::Levels Program::neck_detect(const at::Tensor& vit) const {
  auto out = call_many("neck_detect", {vit}, 3);
  return {out[0], out[1], out[2]};
}

Program::Levels Program::neck_track(const at::Tensor& vit) const {
  auto out = call_many("neck_track", {vit}, 3);
  return {out[0], out[1], out[2]};
}

at::Tensor Program::encode_text(const at::Tensor& ids, const at::Tensor& valid) const {
  return call("encode_text", {ids, valid}).toTensor();
}

Program::Geometry Program::encode_geometry(const at::Tensor& boxes, const at::Tensor& labels, const at::Tensor& valid,
                                           const at::Tensor& coarse, const at::Tensor& image_index) const {
  auto out = call_many("encode_geometry", {boxes, labels, valid, coarse, image_index}, 2);
  return {out[0], out[1]};
}

Program::Detection Program::detect(const at::Tensor& coarse, const at::Tensor& image_index, const at::Tensor& prompt,
                                   const at::Tensor& valid) const {
  auto out = call_many("detect", {coarse, image_index, prompt, valid}, 5);
  return {out[0], out[1], out[2], out[3], out[4]};
}

Program::PixelMaps Program::pixel_embed(const Levels& f, const at::Tensor& image_index, const at::Tensor& encoded,
                                        const at::Tensor& prompt, const at::Tensor& valid) const {
  auto out = call_many("pixel_embed", {f.fine, f.middle, image_index, encoded, prompt, valid}, 2);
  return {out[0], out[1]};
}

at::Tensor Program::masks(const at::Tensor& pixel_map, const at::Tensor& queries) const {
  return call("masks", {pixel_map, queries}).toTensor();
}

Program::PromptTokens Program::prompt_encode(const at::Tensor& points, const at::Tensor& labels, const at::Tensor& mask,
                                             const at::Tensor& use_mask) const {
  auto out = call_many("prompt_encode", {points, labels, mask, use_mask}, 2);
  return {out[0], out[1]};
}

Program::ClickMasks Program::mask_decode(const at::Tensor& fine, const at::Tensor& middle, const at::Tensor& pixels,
                                         const PromptTokens& tokens) const {
  auto out = call_many("mask_decode", {fine, middle, pixels, tokens.sparse, tokens.dense}, 4);
  return {out[0], out[1], out[2], out[3]};
}

at::Tensor Program::object_pointer(const at::Tensor& token, const at::Tensor& object_logit) const {
  return call(is_multiplex() ? "pointer_click" : "object_pointer", {token, object_logit}).toTensor();
}

at::Tensor Program::mask_to_prompt(const at::Tensor& mask) const {
  return call("mask_to_prompt", {mask}).toTensor();
}

at::Tensor Program::memory_encode(const at::Tensor& coarse, const at::Tensor& mask,
                                  const at::Tensor& object_logit) const {
  return call("memory_encode", {coarse, mask, object_logit}).toTensor();
}

at::Tensor Program::memory_attend(const at::Tensor& coarse, const at::Tensor& memory, const at::Tensor& memory_position,
                                  int64_t pointer_tokens) const {
  // A tensor on the CPU: an int would be baked into a traced program, and reading one from a GPU would stall it.
  return call("memory_attend", {coarse, memory, memory_position, at::scalar_tensor(pointer_tokens, at::kLong)})
      .toTensor();
}

at::Tensor Program::pointer_position(const at::Tensor& offset) const {
  return call("pointer_tpos", {offset}).toTensor();
}

Program::TrackerConstants Program::tracker_constants(int64_t grid) const {
  auto out = call_many("tracker_constants", {grid}, 4);
  return {out[0], out[1], out[2], out[3]};
}

at::Tensor Program::no_memory(int64_t grid) const {
  return is_multiplex() ? call_many("multiplex_constants", {grid}, 2)[1] : tracker_constants(grid).no_memory;
}

Program::Levels Program::neck_propagate(const at::Tensor& vit) const {
  auto out = call_many("neck_propagate", {vit}, 3);
  return {out[0], out[1], out[2]};
}

at::Tensor Program::memory_encode_mux(const at::Tensor& coarse, const at::Tensor& masks,
                                      const at::Tensor& object_logits) const {
  return call("memory_encode_mux", {coarse, masks, object_logits}).toTensor();
}

Program::Projection Program::project_frame(const at::Tensor& memory, const at::Tensor& coarse) const {
  auto out = call_many("project_frame", {memory, coarse}, 2);
  return {out[0], out[1]};
}

Program::Projection Program::project_pointers(const at::Tensor& pointers) const {
  auto out = call_many("project_pointers", {pointers}, 2);
  return {out[0], out[1]};
}

at::Tensor Program::memory_attend_mux(const at::Tensor& coarse, const Projection& memory,
                                      const at::Tensor& position) const {
  return call("memory_attend_mux", {coarse, memory.keys, memory.values, position}).toTensor();
}

Program::SlotMasks Program::track_decode_mux(const Levels& image, const at::Tensor& features,
                                             const at::Tensor& valid) const {
  auto out = call_many("track_decode_mux", {image.fine, image.middle, features, valid}, 4);
  return {out[0], out[1], out[2], out[3]};
}

at::Tensor Program::pointer_track(const at::Tensor& token, const at::Tensor& object_logit) const {
  return call("pointer_track", {token, object_logit}).toTensor();
}

at::Tensor Program::no_object_pointer(const at::Tensor& pointer) const {
  return call("no_object_pointer", {pointer}).toTensor();
}

at::Tensor Program::frame_positions(int64_t grid) const {
  return call_many("multiplex_constants", {grid}, 2)[0];
}

}  // namespace sam3
