#include "weights/weight_layout.h"

#include <algorithm>
#include <cctype>
#include <set>
#include <unordered_map>

namespace sam3 {
namespace {

// ---- the tables: what is known about how weights are saved

const std::vector<WeightLayout>& layouts() {
  static const std::vector<WeightLayout> all{
      {"Meta's sam3.pt", kMeta, {{"", ""}}},
      {"Meta's model under its older names", kMeta, {{"detector.", "sam3_model."}, {"tracker.", "sam2_predictor."}}},
      {"Meta's image model", kMeta, {{"detector.", ""}, {"tracker.", "tracker."}}},
      {"Meta's image model with clicks", kMeta, {{"detector.", ""}, {"tracker.", "inst_interactive_predictor.model."}}},
      {"Meta's tracker",
       kMeta,
       {{"detector.backbone.vision_backbone.", "backbone.vision_backbone."}, {"tracker.", ""}}},
      {"Sam3VideoModel of transformers", kTransformers, {{"", ""}}},
      {"Sam3Model of transformers", kTransformers, {{"detector_model.", ""}}},
      // As save_pretrained writes it.
      {"Sam3TrackerModel or Sam3TrackerVideoModel of transformers",
       kTransformers,
       {{"detector_model.vision_encoder.backbone.", "tracker_model.detector_model.vision_encoder.backbone."},
        {"tracker_neck.", "tracker_model.tracker_neck."},
        {"tracker_model.", "tracker_model."}}},
      // As state_dict() has it.
      {"Sam3TrackerModel or Sam3TrackerVideoModel of transformers, a state_dict",
       kTransformers,
       {{"detector_model.vision_encoder.backbone.", "vision_encoder.backbone."},
        {"tracker_neck.", "vision_encoder.neck."},
        {"tracker_model.", ""}}},
  };
  return all;
}

// Parts of a name that wrappers add anywhere. No tensor of the network has one of them in its own name.
constexpr std::array<std::string_view, 7> kWrappers{
    "_orig_mod",                   // torch.compile
    "module",                      // DistributedDataParallel, DataParallel, AveragedModel
    "_fsdp_wrapped_module",        // FullyShardedDataParallel
    "_fpw_module",                 // fairscale's
    "_checkpoint_wrapped_module",  // activation checkpointing
    "_forward_module",
    "_original_module",  // Lightning Fabric
};

// Where the pickle of a whole module keeps its parts.
constexpr std::array<std::string_view, 3> kPickled{"_modules", "_parameters", "_buffers"};

// Versions of transformers differ in the wrapper around CLIP's text model.
constexpr std::array<std::pair<std::string_view, std::string_view>, 4> kRenamed{{
    {"text_encoder.text_model.text_model.", "text_encoder.text_model."},
    {"text_encoder.embeddings.", "text_encoder.text_model.embeddings."},
    {"text_encoder.encoder.", "text_encoder.text_model.encoder."},
    {"text_encoder.final_layer_norm.", "text_encoder.text_model.final_layer_norm."},
}};

// Words in a prefix that say: not the trained weights themselves, but something made of them.
constexpr std::array<std::string_view, 13> kCopies{"ema",   "emas",   "swa",     "averaged", "average",
                                                   "avg",   "shadow", "teacher", "polyak",   "optimizer",
                                                   "optim", "master", "momentum"};

constexpr size_t kMaxName = 1'000, kMaxComponents = 64;  // of a name that is looked at: no hostile file is slow

// ---- how they are used

template <size_t N>
bool is_one_of(const std::array<std::string_view, N>& words, std::string_view word) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

// The name without those of its parts that are one of `words`.
template <size_t N>
std::string without(const std::array<std::string_view, N>& words, std::string_view name,
                    std::map<std::string, size_t>* removed) {
  std::string out;
  for (size_t begin = 0; begin <= name.size();) {
    const size_t end = std::min(name.find('.', begin), name.size());
    const std::string_view part = name.substr(begin, end - begin);
    if (!is_one_of(words, part))
      out.append(begin > 0 && !out.empty() ? "." : "").append(part);
    else if (removed)
      (*removed)[std::string(part)]++;
    begin = end + 1;
  }
  return out;
}

bool names_a_copy(const std::string& prefix) {
  std::string word;
  char before = 0;
  for (const char c : prefix) {
    const bool letter = std::isalpha(static_cast<unsigned char>(c)) != 0;
    // "modelEma" is two words, "model_EMA" too.
    if (!letter || (std::isupper(static_cast<unsigned char>(c)) && std::islower(static_cast<unsigned char>(before)))) {
      if (is_one_of(kCopies, word)) return true;
      word.clear();
    }
    if (letter) word += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    before = c;
  }
  return is_one_of(kCopies, word);
}

struct Meaning {
  size_t layout;
  const std::string* canonical;
};

struct Candidate {
  size_t layout;
  std::string prefix;
  std::vector<std::pair<const std::string*, const std::string*>> names;  // canonical, in the file
};

}  // namespace

std::string WeightLayout::file_name(const std::string& canonical) const {
  for (const auto& [from, to] : prefixes)
    if (canonical.starts_with(from)) return std::string(to) + canonical.substr(from.size());
  return "";
}

std::string tidy_name(std::string_view name) {
  std::string out = without(kPickled, name, nullptr);
  for (const auto& [from, to] : kRenamed) {
    const size_t at = out.find(from);
    if (at == std::string::npos || (at > 0 && out[at - 1] != '.')) continue;
    out.replace(at, from.size(), to);
    break;
  }
  return out;
}

std::string bare_name(std::string_view tidy, std::map<std::string, size_t>* removed) {
  return without(kWrappers, tidy, removed);
}

std::vector<WeightSet> find_weight_sets(const std::map<std::string, std::string>& tidy,
                                        const std::array<std::vector<std::string>, kNamings>& wanted) {
  // Every name that a tensor of the network has in some layout.
  std::unordered_map<std::string, std::vector<Meaning>> known;
  for (size_t i = 0; i < layouts().size(); i++)
    for (const std::string& canonical : wanted[layouts()[i].naming])
      if (std::string name = layouts()[i].file_name(canonical); !name.empty())
        known[std::move(name)].push_back({i, &canonical});

  // Whatever stands before such a name is a prefix; the names with the same prefix belong together.
  std::map<std::pair<size_t, std::string>, Candidate> by_prefix;
  for (const auto& [file, name] : tidy) {
    if (name.size() > kMaxName) continue;
    size_t begin = 0;
    for (size_t i = 0; i < kMaxComponents && begin < name.size(); i++) {
      const size_t end = std::min(name.find('.', begin), name.size());
      const auto place = is_one_of(kWrappers, std::string_view(name).substr(begin, end - begin))
                             ? known.end()
                             : known.find(bare_name(std::string_view(name).substr(begin)));
      if (place != known.end())
        for (const Meaning& meaning : place->second) {
          const std::string prefix = name.substr(0, begin);
          auto& candidate =
              by_prefix.try_emplace({meaning.layout, prefix}, Candidate{meaning.layout, prefix, {}}).first->second;
          candidate.names.emplace_back(meaning.canonical, &file);
        }
      begin = end + 1;
    }
  }

  std::vector<const Candidate*> order;
  for (const auto& [key, candidate] : by_prefix) order.push_back(&candidate);
  std::stable_sort(order.begin(), order.end(), [](const Candidate* a, const Candidate* b) {
    if (a->names.size() != b->names.size()) return a->names.size() > b->names.size();
    if (a->layout != b->layout) return a->layout < b->layout;
    return a->prefix.size() < b->prefix.size();
  });

  std::vector<WeightSet> sets;
  std::set<std::string_view> taken;
  for (const Candidate* candidate : order) {
    if (candidate->names.size() * 2 < order[0]->names.size()) break;
    const auto is_taken = [&](const auto& pair) { return taken.contains(*pair.second); };
    // The same tensors under another reading of their names.
    if (std::any_of(candidate->names.begin(), candidate->names.end(), is_taken)) continue;
    WeightSet set;
    set.layout = &layouts()[candidate->layout];
    set.prefix = candidate->prefix;
    set.is_copy = names_a_copy(candidate->prefix);
    for (const auto& [canonical, file] : candidate->names) {
      if (!set.names.emplace(*canonical, *file).second) set.doubled.push_back(*file);
      taken.insert(*file);
    }
    sets.push_back(std::move(set));
  }
  return sets;
}

}  // namespace sam3
