#include "weights/weight_plan.h"

#include <ATen/Functions.h>
#include <doctest/doctest.h>

#include <set>

#include "support/support.h"

using namespace sam3;
using namespace sam3::test;

namespace {

struct Line {
  const char *program, *transformers, *meta;
};
// One tensor of each part of the network, by its true names.
constexpr Line kLines[] = {
    {"vision_encoder.w", "detector_model.vision_encoder.backbone.w", "detector.backbone.vision_backbone.trunk.w"},
    {"detector_neck.w", "detector_model.vision_encoder.neck.fpn_layers.0.w",
     "detector.backbone.vision_backbone.convs.0.w"},
    {"text_encoder.norm.w", "detector_model.text_encoder.text_model.final_layer_norm.w",
     "detector.backbone.language_backbone.encoder.ln_final.w"},
    {"detr_decoder.w", "detector_model.detr_decoder.w", "detector.transformer.decoder.w"},
    {"tracker_neck.w", "tracker_neck.fpn_layers.0.w", "detector.backbone.vision_backbone.sam2_convs.0.w"},
    {"prompt_encoder.w", "tracker_model.prompt_encoder.w", "tracker.sam_prompt_encoder.w"},
    {"sam_mask_decoder.w", "tracker_model.mask_decoder.w", "tracker.sam_mask_decoder.w"},
    {"memory_attention.no_memory_embed", "tracker_model.no_memory_embedding", "tracker.no_mem_embed"},
    {"memory_attention.w", "tracker_model.memory_attention.w", "tracker.transformer.encoder.w"},
    {"memory_encoder.w", "tracker_model.memory_encoder.w", "tracker.maskmem_backbone.w"},
    {"object_pointers.w", "tracker_model.object_pointer_proj.w", "tracker.obj_ptr_proj.w"},
};
constexpr size_t kAll = std::size(kLines), kDetector = 4, kClicks = 8;

NameMap small_map() {
  std::string tensors;
  for (const Line& line : kLines)
    tensors += std::string(tensors.empty() ? "" : ",") + R"({"name":")" + line.program +
               R"(","shape":[2],"fp32":false,"transformers":{"op":"copy","from":[")" + line.transformers +
               R"("]},"meta":{"op":"copy","from":[")" + line.meta + "\"]}}";
  return NameMap::parse(
      R"({"format":"sam3-names/2","architecture":{"image_size":8,"patch_size":2,"window_size":2,"vision_width":2,)"
      R"("vision_layers":1,"hidden_size":2,"num_queries":1,"decoder_heads":1,"text_context":2,"text_vocab":2,"memory_size":2},"tensors":[)" +
          tensors + R"(],"ignored":{"transformers":["*.rotary_emb.*"],"meta":["*.freqs_cis*"]}})",
      "names.json");
}

// Tensors in memory.
class Source final : public WeightSource {
 public:
  void add(const std::string& name, const at::Tensor& tensor) {
    tensors_[name] = tensor;
    entries_[name] = {tensor.sizes().vec(), tensor.scalar_type()};
  }
  const std::map<std::string, WeightInfo>& entries() const override { return entries_; }
  at::Tensor read(const std::string& name) const override { return tensors_.at(name); }
  const std::string& path() const override { return path_; }
  void release(const std::string&) const override {}

 private:
  std::string path_ = "file.pt";
  std::map<std::string, at::Tensor> tensors_;
  std::map<std::string, WeightInfo> entries_;
};

using Rename = std::function<std::string(std::string)>;

// The first `count` tensors, holding 10 * i + `first`, under Meta's names or those of transformers, renamed.
void fill(Source& source, bool meta, const Rename& rename, float first = 1, size_t count = kAll) {
  for (size_t i = 0; i < count; i++)
    if (const std::string name = rename(meta ? kLines[i].meta : kLines[i].transformers); !name.empty())
      source.add(name, at::full({2}, 10.0f * static_cast<float>(i) + first));
}

Rename prefixed(const std::string& prefix) {
  return [=](const std::string& name) { return prefix + name; };
}

// Without `head`; nothing for names that do not begin with it.
Rename stripped(const std::string& head, const std::string& prefix = "") {
  return [=](const std::string& name) { return name.starts_with(head) ? prefix + name.substr(head.size()) : ""; };
}

const NameMap& map() {
  static const NameMap map = small_map();
  return map;
}

// The names of the program that are bound, each checked to hold its own tensor.
size_t bound(const Source& source, float first = 1) {
  size_t count = 0;
  map().bind(source, at::kCPU, at::kFloat, [&](const std::string& name, const at::Tensor& tensor) {
    for (size_t i = 0; i < kAll; i++)
      if (name == kLines[i].program) {
        CAPTURE(name);
        CHECK(tensor[0].item<float>() == 10.0f * static_cast<float>(i) + first);
      }
    count++;
  });
  return count;
}

std::string problem_of(const Source& source) {
  const auto plan = plan_weights(map(), source);
  return plan.problem ? name_of(plan.problem->code()) + std::string(": ") + plan.problem->what() : "";
}

bool holds(const std::string& text, const std::string& part) {
  INFO(text);
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("weight_plan: every layout of a whole model, under every wrapper, binds every tensor to its own place") {
  for (const char* prefix :
       {"", "model.", "module.", "_orig_mod.", "state_dict.", "model_state_dict.model.", "state_dict.model.",
        "model.module._orig_mod.", "state_dict.model._orig_mod.module.", "_fsdp_wrapped_module.", "net.sam3.", "ema.",
        "state_dict_ema.module.", "a.b.c.d.e.f.g.", "detector.", "tracker.", "teacher.0."}) {
    CAPTURE(prefix);
    for (const bool meta : {false, true}) {
      Source source;
      fill(source, meta, prefixed(prefix));
      const auto plan = plan_weights(map(), source);
      CHECK(problem_of(source) == "");
      CHECK(bound(source) == kAll);
      CHECK(plan.used == kAll);
      CHECK(plan.set.layout->naming == (meta ? kMeta : kTransformers));
      CHECK((plan.parts.detector && plan.parts.clicks && plan.parts.video));
    }
  }
}

TEST_CASE("weight_plan: wrappers inside of names are seen through") {
  Source source;
  fill(source, true, [](std::string name) {
    for (const auto& [from, to] : {std::pair{"trunk.", "trunk._checkpoint_wrapped_module."},
                                   {"transformer.", "transformer._fsdp_wrapped_module._orig_mod."},
                                   {"tracker.", "_modules.tracker._modules."}})
      if (const size_t at = name.find(from); at != std::string::npos) name.replace(at, std::string(from).size(), to);
    return "model." + name;
  });
  CHECK(bound(source) == kAll);
  const auto plan = plan_weights(map(), source);
  CHECK(plan.set.prefix == "model.");
  CHECK(plan.wrappers.at("_checkpoint_wrapped_module") == 1);
  CHECK(plan.wrappers.at("_fsdp_wrapped_module") == 2);
}

TEST_CASE("weight_plan: the image model alone answers texts, and needs no tracker") {
  const auto check = [](const Source& source, const char* title, size_t missing) {
    CHECK(problem_of(source) == "");
    const auto plan = plan_weights(map(), source);
    CHECK(plan.set.layout->title == title);
    CHECK((plan.parts.detector && !plan.parts.clicks && !plan.parts.video));
    CHECK(bound(source) == kDetector);
    CHECK(plan.missing.size() == missing);
    CHECK(error_of([&] { plan.parts.require_clicks(); }).starts_with("ERR_NO_TRACKER"));
    CHECK(error_of([&] { plan.parts.require_video(); }).starts_with("ERR_NO_TRACKER"));
  };
  for (const char* prefix : {"", "model.", "state_dict.model.module."}) {
    Source meta, transformers, with_neck;
    fill(meta, true, stripped("detector.", prefix), 1, kDetector);
    check(meta, "Meta's image model", 6);  // neck, prompts, masks, attention, encoder, pointers
    fill(transformers, false, stripped("detector_model.", prefix), 1, kDetector);
    check(transformers, "Sam3Model of transformers", 6);
    fill(with_neck, true, stripped("detector.", prefix));  // sam2_convs too
    check(with_neck, "Meta's image model", 5);
    CHECK(plan_weights(map(), with_neck).ignored[0].name == "tracker_neck");
  }
}

TEST_CASE("weight_plan: the image model of Meta with its tracker, under both of its names") {
  for (const char* tracker : {"tracker.", "inst_interactive_predictor.model."}) {
    Source source;
    fill(source, true, [&](const std::string& name) {
      return name.starts_with("tracker.") ? tracker + name.substr(8) : name.substr(std::string("detector.").size());
    });
    CHECK(bound(source) == kAll);
  }
}

TEST_CASE("weight_plan: Meta's model with the older names of its halves") {
  for (const char* prefix : {"", "model."}) {
    Source source;
    fill(source, true, [&](const std::string& name) {
      const bool tracker = name.starts_with("tracker.");
      return prefix + (tracker ? "sam2_predictor." + name.substr(8) : "sam3_model." + name.substr(9));
    });
    CHECK(problem_of(source) == "");
    const auto plan = plan_weights(map(), source);
    CHECK((plan.parts.detector && plan.parts.clicks && plan.parts.video));
    CHECK(plan.missing.empty());
    CHECK(bound(source) == kAll);
  }
}

TEST_CASE("weight_plan: a tracker alone answers clicks, and videos where it has the memory") {
  const Rename saved = [](const std::string& name) {
    if (name.starts_with("tracker_model.")) return name;
    const bool needed = name.starts_with("tracker_neck.") || name.find(".backbone.") != std::string::npos;
    return needed ? "tracker_model." + name : "";
  };
  const Rename state_dict = [](const std::string& name) -> std::string {
    if (name.starts_with("tracker_model.")) return name.substr(14);
    if (name.starts_with("tracker_neck.")) return "vision_encoder.neck." + name.substr(13);
    return name.find(".backbone.") != std::string::npos ? name.substr(15) : "";
  };
  const Rename meta = [](const std::string& name) -> std::string {
    if (name.starts_with("tracker.")) return name.substr(8);
    return name.find("trunk") != std::string::npos || name.find("sam2") != std::string::npos ? name.substr(9) : "";
  };
  const std::pair<bool, Rename> layouts[] = {{false, saved}, {false, state_dict}, {true, meta}};
  for (const auto& [is_meta, rename] : layouts) {
    Source whole, clicks;
    fill(whole, is_meta, rename);
    CHECK(bound(whole) == 8);
    auto parts = plan_weights(map(), whole).parts;
    CHECK((!parts.detector && parts.clicks && parts.video));
    CHECK(error_of([&] { parts.require_detector(); }).starts_with("ERR_NO_DETECTOR"));
    fill(clicks, is_meta, rename, 1, kClicks);
    CHECK(bound(clicks) == 5);
    parts = plan_weights(map(), clicks).parts;
    CHECK((!parts.detector && parts.clicks && !parts.video));
    CHECK(error_of([&] { parts.require_video(); }).starts_with("ERR_NO_TRACKER"));
  }
}

TEST_CASE("weight_plan: the text encoder's names of other versions of transformers") {
  for (const char* text : {"text_encoder.", "text_encoder.text_model.text_model."}) {
    Source source;
    fill(source, false, [&](std::string name) {
      const std::string usual = "text_encoder.text_model.";
      if (const size_t at = name.find(usual); at != std::string::npos) name.replace(at, usual.size(), text);
      return name;
    });
    CHECK(bound(source) == kAll);
  }
}

TEST_CASE("weight_plan: trained weights go before averages of them, and what is beside them is named") {
  Source source;
  fill(source, true, prefixed("model."), 1);
  fill(source, true, prefixed("ema.module."), 2);
  source.add("optimizer.state.0.exp_avg", at::ones({2}));
  source.add("optimizer.state.1.exp_avg", at::ones({2}));
  source.add("model.my_head.w", at::ones({5}));
  source.add("model.detector.backbone.vision_backbone.trunk.freqs_cis_real", at::ones({5}));
  source.add("ema.n_averaged", at::ones({}));
  CHECK(bound(source, 1) == kAll);
  const auto plan = plan_weights(map(), source);
  CHECK(plan.set.prefix == "model.");
  REQUIRE(plan.others.size() == 1);
  CHECK(plan.others[0].name == "ema.module.");
  std::map<std::string, size_t> ignored;
  for (const auto& group : plan.ignored) ignored[group.name] = group.count;
  CHECK(ignored ==
        std::map<std::string, size_t>{{"optimizer", 2}, {"model.my_head", 1}, {"*.freqs_cis*", 1}, {"ema", kAll + 1}});

  Source only;
  fill(only, true, prefixed("modelEMA."), 3);
  fill(only, true, prefixed("optimizer.master."), 4, 3);
  CHECK(bound(only, 3) == kAll);
}

TEST_CASE("weight_plan: two sets that are equally good are an error that names both, unless they are one") {
  Source two;
  fill(two, true, prefixed("student."), 1);
  fill(two, true, prefixed("network."), 2);
  const auto error = problem_of(two);
  CHECK(error.starts_with("ERR_MODEL_FORMAT"));
  CHECK(holds(error, "\"network.\" (11 tensors)"));
  CHECK(holds(error, "\"student.\" (11 tensors)"));
  CHECK(error_of([&] { bound(two); }).starts_with("ERR_MODEL_FORMAT"));

  Source twins;  // a module and its compiled twin
  fill(twins, true, prefixed("model."), 1);
  for (const Line& line : kLines)
    twins.add("model._orig_mod." + std::string(line.meta), twins.read("model." + std::string(line.meta)));
  CHECK(problem_of(twins) == "");
  CHECK(bound(twins) == kAll);
}

TEST_CASE("weight_plan: no set borrows a tensor from another one") {
  Source two;  // each lacks what the other has
  fill(two, true, [](const std::string& name) { return name == kLines[3].meta ? "" : "model." + name; }, 1);
  fill(two, true, [](const std::string& name) { return name == kLines[0].meta ? "" : "model.module." + name; }, 2);
  CHECK(problem_of(two).starts_with("ERR_WEIGHTS_MISMATCH"));
  Source doubled;  // within one set
  fill(doubled, true, prefixed(""));
  doubled.add("detector.module.transformer.decoder.w", at::ones({2}));
  CHECK(problem_of(doubled).starts_with("ERR_WEIGHTS_MISMATCH"));
  CHECK(holds(problem_of(doubled), "unexpected (1):"));
}

TEST_CASE("weight_plan: a set that is half there is an error, whatever else would do") {
  Source half;  // of the tracker
  fill(half, true, prefixed(""), 1, kAll - 1);
  CHECK(holds(problem_of(half), "missing (1):\n  tracker.obj_ptr_proj.w"));
  Source detector;
  fill(detector, false, stripped("detector_model."), 1, kDetector - 1);
  CHECK(problem_of(detector).starts_with("ERR_WEIGHTS_MISMATCH"));
  CHECK(holds(problem_of(detector), "missing (1):\n  detr_decoder.w"));
  Source trunk;  // the image encoder alone
  fill(trunk, true, prefixed(""), 1, 1);
  CHECK(holds(problem_of(trunk), "missing (3):"));
  Source memory;  // without what turns it into masks
  fill(memory, true, [](const std::string& name) { return name.find("sam_") == std::string::npos ? name : ""; });
  CHECK(holds(problem_of(memory), "missing (2):"));
  Source broken;  // the average is whole, what was trained is not
  fill(broken, true, prefixed("model."), 1, kAll - 1);
  fill(broken, true, prefixed("ema."), 2);
  CHECK(holds(problem_of(broken), "after \"model.\""));
  CHECK(holds(problem_of(broken), "missing (1):\n  model.tracker.obj_ptr_proj.w"));
}

TEST_CASE("weight_plan: a tensor inside of the network that nobody knows is an error with a hint") {
  Source lora;
  fill(lora, false, prefixed("base_model.model."));
  lora.add("base_model.model.detector_model.detr_decoder.lora_A.default.weight", at::ones({2}));
  CHECK(problem_of(lora).starts_with("ERR_WEIGHTS_MISMATCH"));
  CHECK(holds(problem_of(lora), "unexpected (1)"));
  CHECK(holds(problem_of(lora), "merge_and_unload()"));
  Source adapter;
  adapter.add("base_model.model.detr_decoder.lora_A.weight", at::ones({2}));
  CHECK(problem_of(adapter).starts_with("ERR_MODEL_FORMAT"));
  CHECK(holds(problem_of(adapter), "merge_and_unload()"));
  Source newer;
  fill(newer, true, prefixed(""));
  newer.add("tracker.model.interactive_convs.0.w", at::ones({2}));
  CHECK(holds(problem_of(newer), "SAM 3.1"));
}

TEST_CASE("weight_plan: random names, wrappers and losses end in all tensors at their places or in an error") {
  std::mt19937_64 random(5);
  const auto below = [&](size_t n) { return static_cast<size_t>(random() % n); };
  const char* parts[] = {
      "module", "_orig_mod", "model",   "state_dict",  "ema",           "_fsdp_wrapped_module", "0",
      "",       "detector",  "tracker", "transformer", "tracker_model", "text_encoder",         "optimizer",
      "a b",    "\xff"};
  size_t loaded = 0, refused = 0;
  for (int i = 0; i < fuzz_cases(20'000) / 10; i++) {
    Source source;
    const size_t sets = 1 + below(3);
    std::set<std::string> prefixes;  // a file has each name once
    for (size_t set = 0; set < sets; set++) {
      std::string prefix;
      for (size_t n = below(4); n-- > 0;) prefix += std::string(parts[below(std::size(parts))]) + ".";
      if (!prefixes.insert(prefix).second) continue;
      const size_t loss = below(3) == 0 ? below(kAll) : kAll;
      const size_t infix = below(8);
      size_t index = 0;
      const float first = static_cast<float>(set + 1);
      fill(
          source, below(2) == 0,
          [&](std::string name) -> std::string {
            if (index++ == loss) return "";
            if (infix == 0) name.insert(name.find('.') + 1, std::string(parts[below(2)]) + ".");
            return prefix + name;
          },
          first);
    }
    if (below(4) == 0) source.add(std::string(2'000, '.'), at::ones({1}));
    if (below(4) == 0) source.add(std::string(parts[below(std::size(parts))]) + ".x", at::ones({1}));
    const auto plan = plan_weights(map(), source);
    if (plan.problem) {
      CHECK((plan.problem->code() == ERR_MODEL_FORMAT || plan.problem->code() == ERR_WEIGHTS_MISMATCH));
      refused++;
      continue;
    }
    loaded++;
    float first = 0;  // all of one set, each at its place
    map().bind(source, at::kCPU, at::kFloat, [&](const std::string& name, const at::Tensor& tensor) {
      for (size_t t = 0; t < kAll; t++)
        if (name == kLines[t].program) {
          const float set = tensor[0].item<float>() - 10.0f * static_cast<float>(t);
          if (first == 0) first = set;
          CHECK(set == first);
        }
    });
  }
  CHECK(loaded > 100);
  CHECK(refused > 100);
}
