#include "weights/weight_plan.h"

#include <algorithm>
#include <array>
#include <set>
#include <string_view>

#include "weights/tensor_view.h"

namespace sam3 {
namespace {

constexpr size_t kListed = 20;  // names of each kind in a message; a foreign file would fill screens

// Names that tell how the weights were changed before they were saved, and what to do about it.
struct Hint {
  std::string_view part;
  const char* advice;
};
constexpr std::array<Hint, 7> kHints{{
    {"lora_", "It holds LoRA adapters: merge them first (PEFT: merge_and_unload(), then save_pretrained())."},
    {"_flat_param",
     "It holds flattened FSDP parameters: save with full_state_dict=True, or StateDictType.FULL_STATE_DICT."},
    {"shadow_params",
     "It holds an average without names: copy it into the model (ema.copy_to()) and save its state_dict()."},
    {"parametrizations.", "Its layers are parametrized: call remove_parametrizations() on them before you save."},
    {"quant_state", "It is quantised by bitsandbytes: call dequantize() before you save."},
    {".SCB", "It is quantised by bitsandbytes: call dequantize() before you save."},
    {"_extra_state", "Its layers keep a state of their own, as quantised ones do: save the plain weights."},
}};

// Parts that only one kind of model has: weights of the other kind than the program.
constexpr std::array<Hint, 1> kForSam3{{{"interactive_convs", "It is SAM 3.1, another network than SAM 3."}}};
constexpr std::array<Hint, 2> kForMultiplex{{
    {"sam2_convs", "It is SAM 3, another network than SAM 3.1."},
    {"detector_model.", "It is SAM 3, another network than SAM 3.1."},
}};

std::string advice_for(const NameMap& map, const WeightSource& source) {
  std::vector<Hint> hints(kHints.begin(), kHints.end());
  if (map.architecture().slots > 0)
    hints.insert(hints.end(), kForMultiplex.begin(), kForMultiplex.end());
  else
    hints.insert(hints.end(), kForSam3.begin(), kForSam3.end());
  for (const Hint& hint : hints)
    for (const auto& [name, info] : source.entries())
      if (name.find(hint.part) != std::string::npos) return std::string(" ") + hint.advice;
  return "";
}

std::string text_of(const std::vector<int64_t>& shape) {
  std::string out = "[";
  for (size_t i = 0; i < shape.size(); i++) out += (i ? ", " : "") + std::to_string(shape[i]);
  return out + "]";
}

std::string list_of(const std::string& title, const std::vector<std::string>& items) {
  if (items.empty()) return "";
  std::string out = "\n" + title + " (" + std::to_string(items.size()) + "):";
  for (size_t i = 0; i < items.size() && i < kListed; i++) out += "\n  " + items[i];
  if (items.size() > kListed) out += "\n  ... and " + std::to_string(items.size() - kListed) + " more";
  return out;
}

std::string first_part(const std::string& name) {
  return name.substr(0, name.find('.'));
}

// Groups by name, in the order of first appearance.
class Groups {
 public:
  WeightGroup& at(const std::string& name) {
    const auto place = index_.try_emplace(name, groups_.size());
    if (place.second) groups_.push_back({name, 0, 0, ""});
    return groups_[place.first->second];
  }
  void add(const std::string& name, const std::string& example) {
    WeightGroup& group = at(name);
    if (group.count++ == 0) group.example = example;
  }
  std::vector<WeightGroup> take() { return std::move(groups_); }

 private:
  std::vector<WeightGroup> groups_;
  std::map<std::string, size_t> index_;
};

// How much of each part of the network a set has.
struct Coverage {
  std::map<WeightPart, size_t> found, needed;
  bool none(WeightPart part) const { return !found.contains(part) || found.at(part) == 0; }
  bool all(WeightPart part) const {
    return !needed.contains(part) || (!none(part) && found.at(part) == needed.at(part));
  }
};

class Planner {
 public:
  Planner(const NameMap& map, const WeightSource& source)
      : map_(map), source_(source), advice_(advice_for(map, source)) {}

  // What would come of binding `set`.
  WeightPlan plan(WeightSet set, const std::map<std::string, std::string>& tidy) const {
    WeightPlan plan;
    plan.set = std::move(set);
    decide_parts(plan);
    std::vector<std::string> missing, unexpected, misshaped, mistyped;
    std::set<std::string_view> used;
    Groups groups;
    for (const ProgramTensor& tensor : map_.tensors()) {
      const Recipe& recipe = tensor.recipes[plan.set.layout->naming];
      WeightGroup& group = groups.at(first_part(tensor.name));
      std::vector<std::vector<int64_t>> shapes;
      std::string got;
      for (const std::string& canonical : recipe.from) {
        group.of++;
        const auto place = plan.set.names.find(canonical);
        if (place == plan.set.names.end()) {
          const std::string in_file = plan.set.layout->file_name(canonical);
          const std::string name = in_file.empty() ? canonical : plan.set.prefix + in_file;
          if (group.count++ == 0) group.example = name;
          if (plan.has(tensor)) missing.push_back(name);
          continue;
        }
        if (!plan.has(tensor)) continue;
        const WeightInfo& info = source_.entries().at(place->second);
        used.insert(place->second);
        bare_name(tidy.at(place->second), &plan.wrappers);
        plan.dtypes[at::toString(info.dtype)]++;
        plan.parameters += static_cast<uint64_t>(checked_numel(info.shape));
        got += (shapes.empty() ? "" : " + ") + place->second + " " + text_of(info.shape);
        shapes.push_back(info.shape);
        if (!at::isFloatingType(info.dtype)) mistyped.push_back(place->second + " " + at::toString(info.dtype));
      }
      if (shapes.size() != recipe.from.size()) continue;
      const bool reshapes = recipe.operation == Recipe::Operation::reshape;
      if (recipe.result_shape(shapes) == (reshapes ? recipe.source_shape : tensor.shape)) continue;
      misshaped.push_back(got + " does not make " + tensor.name + " " + text_of(tensor.shape));
    }
    plan.used = used.size();
    for (WeightGroup& group : groups.take())
      if (group.count > 0) plan.missing.push_back(std::move(group));
    sort_out_the_rest(plan, tidy, used, unexpected);
    unexpected.insert(unexpected.end(), plan.set.doubled.begin(), plan.set.doubled.end());
    if (missing.empty() && unexpected.empty() && misshaped.empty() && mistyped.empty()) return plan;
    plan.problem =
        Error(ERR_WEIGHTS_MISMATCH,
              source_.path() + " (" + std::string(plan.set.layout->title) + ", " +
                  (plan.set.layout->naming == kMeta ? "meta" : "transformers") + " names" +
                  (plan.set.prefix.empty() ? "" : " after \"" + plan.set.prefix + "\"") +
                  ") does not fit the program of " + map_.path() + ".",
              "Use weights of the same model and version as the program, or export a program from the config.json of "
              "these weights." +
                  advice_ + list_of("missing", missing) + list_of("unexpected", unexpected) +
                  list_of("wrong shape", misshaped) + list_of("not floating-point", mistyped));
    return plan;
  }

  WeightPlan nothing() const {
    std::vector<std::string> names;
    WeightPlan plan;
    plan.parts = {false, false, false};
    Groups ignored;
    for (const auto& [name, info] : source_.entries()) {
      names.push_back(name);
      ignored.add(first_part(name), name);
    }
    plan.ignored = ignored.take();
    plan.problem =
        Error(ERR_MODEL_FORMAT,
              source_.path() + " holds no weights of SAM 3: not one tensor has a name that " + map_.path() + " knows.",
              "Give the model.safetensors or sam3.pt of facebook/sam3, or weights trained from them." + advice_ +
                  list_of("tensors of the file", names));
    return plan;
  }

 private:
  // A part is there when all of its tensors are; when some are, they must all be, which plan() then says.
  void decide_parts(WeightPlan& plan) const {
    Coverage coverage;
    for (const ProgramTensor& tensor : map_.tensors())
      for (const std::string& canonical : tensor.recipes[plan.set.layout->naming].from) {
        coverage.needed[part_of(tensor.name)]++;
        coverage.found[part_of(tensor.name)] += plan.set.names.contains(canonical);
      }
    const auto is_there = [&](WeightPart part) { return coverage.all(part) || !coverage.none(part); };
    plan.parts.video = is_there(WeightPart::video);
    plan.parts.clicks =
        is_there(WeightPart::clicks) || (plan.parts.video && coverage.needed.contains(WeightPart::video));
    plan.parts.detector = is_there(WeightPart::detector) || !plan.parts.clicks;
  }

  // Tensors that nothing needs are ignored, unless they lie inside the network itself: there an unknown tensor would
  // change what it computes.
  void sort_out_the_rest(WeightPlan& plan, const std::map<std::string, std::string>& tidy,
                         const std::set<std::string_view>& used, std::vector<std::string>& unexpected) const {
    const WeightLayout& layout = *plan.set.layout;
    std::set<std::string> modules;
    std::map<std::string_view, std::string> module_of;  // of tensors that belong to an absent part
    for (const ProgramTensor& tensor : map_.tensors())
      for (const std::string& canonical : tensor.recipes[layout.naming].from) {
        if (const std::string name = layout.file_name(canonical); !name.empty()) modules.insert(first_part(name));
        const auto place = plan.set.names.find(canonical);
        if (place != plan.set.names.end()) module_of.emplace(place->second, first_part(tensor.name));
      }
    const std::set<std::string_view> doubled(plan.set.doubled.begin(), plan.set.doubled.end());
    Groups ignored;
    for (const auto& [name, info] : source_.entries()) {
      if (used.contains(name) || doubled.contains(name)) continue;
      const std::string& full = tidy.at(name);
      if (!full.starts_with(plan.set.prefix)) {
        ignored.add(first_part(name), name);
        continue;
      }
      const std::string inner = bare_name(std::string_view(full).substr(plan.set.prefix.size()));
      const std::string pattern = ignoring_pattern(layout, inner);
      if (!pattern.empty())
        ignored.add(pattern, name);
      else if (const auto module = module_of.find(name); module != module_of.end())
        ignored.add(module->second, name);
      else if (modules.contains(first_part(inner)))
        unexpected.push_back(name);
      else
        ignored.add(plan.set.prefix + first_part(inner), name);
    }
    plan.ignored = ignored.take();
  }

  std::string ignoring_pattern(const WeightLayout& layout, const std::string& name) const {
    for (const auto& [canonical, file] : layout.prefixes) {
      if (!name.starts_with(file)) continue;
      std::string pattern = map_.ignored_by(layout.naming, std::string(canonical) + name.substr(file.size()));
      if (!pattern.empty()) return pattern;
    }
    return "";
  }

  const NameMap& map_;
  const WeightSource& source_;
  const std::string advice_;
};

// The same tensors of the file under two names, as a model and its compiled twin have them.
bool share_tensors(const WeightSource& source, const WeightSet& a, const WeightSet& b) {
  if (a.layout != b.layout || a.names.size() != b.names.size()) return false;
  return std::all_of(a.names.begin(), a.names.end(), [&](const auto& item) {
    const auto other = b.names.find(item.first);
    return other != b.names.end() &&
           source.read(item.second).const_data_ptr() == source.read(other->second).const_data_ptr();
  });
}

// The one that is meant, if that is clear.
std::optional<size_t> choose(const WeightSource& source, const std::vector<WeightPlan>& plans) {
  std::vector<size_t> group;
  for (const bool is_copy : {false, true}) {
    for (size_t i = 0; i < plans.size(); i++)
      if (plans[i].set.is_copy == is_copy) group.push_back(i);
    if (!group.empty()) break;
  }
  if (group.size() == 1) return group[0];
  std::vector<size_t> fitting;
  for (const size_t i : group)
    if (!plans[i].problem) fitting.push_back(i);
  if (fitting.empty()) return group[0];
  const auto is_same = [&](size_t i) { return share_tensors(source, plans[fitting[0]].set, plans[i].set); };
  if (!std::all_of(fitting.begin() + 1, fitting.end(), is_same)) return std::nullopt;
  return fitting[0];
}

}  // namespace

bool WeightPlan::has(const ProgramTensor& tensor) const {
  switch (part_of(tensor.name)) {
    case WeightPart::detector: return parts.detector;
    case WeightPart::neck:
    case WeightPart::clicks: return parts.clicks;
    case WeightPart::video: return parts.video;
    case WeightPart::shared: break;
  }
  return true;
}

WeightPlan plan_weights(const NameMap& map, const WeightSource& source) {
  std::array<std::vector<std::string>, kNamings> wanted;
  for (const ProgramTensor& tensor : map.tensors())
    for (size_t naming = 0; naming < kNamings; naming++)
      for (const std::string& name : tensor.recipes[naming].from) wanted[naming].push_back(name);

  std::map<std::string, std::string> tidy;
  for (const auto& [name, info] : source.entries()) tidy.emplace(name, tidy_name(name));
  const Planner planner(map, source);
  std::vector<WeightPlan> plans;
  for (WeightSet& set : find_weight_sets(tidy, wanted)) plans.push_back(planner.plan(std::move(set), tidy));
  if (plans.empty()) return planner.nothing();

  const auto chosen = choose(source, plans);
  WeightPlan plan = plans[chosen.value_or(0)];
  std::string listed;
  for (size_t i = 0; i < plans.size(); i++) {
    const WeightSet& set = plans[i].set;
    listed += (i ? ", \"" : "\"") + set.prefix + "\" (" + std::to_string(set.names.size()) + " tensors)";
    if (&set != &plans[chosen.value_or(0)].set)
      plan.others.push_back({set.prefix, set.names.size(), 0, set.names.begin()->second});
  }
  if (!chosen)
    plan.problem = Error(ERR_MODEL_FORMAT,
                         source.path() + " holds " + std::to_string(plans.size()) +
                             " sets of weights of SAM 3, and nothing says which one is meant: " + listed + ".",
                         "Save one of them alone, as torch.save(torch.load('" + source.path() +
                             "')['model'], 'one.pt') does for the first key.");
  return plan;
}

}  // namespace sam3
