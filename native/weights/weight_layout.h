#pragma once
#include <array>
#include <cstddef>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace sam3 {

// The two namings that a names.json knows. A file's tensors are named by one of them, often with other prefixes.
enum Naming : size_t { kTransformers, kMeta, kNamings };

// How one kind of saved module names the tensors: the prefixes of a naming that are others in the file, the first match
// counts. Tensors whose name begins with none of them are not part of such a file.
struct WeightLayout {
  std::string_view title;  // as users are told
  Naming naming;
  std::vector<std::pair<std::string_view, std::string_view>> prefixes;  // of the naming, in the file

  // The file's name for a tensor of the naming; empty where such a file has none.
  std::string file_name(const std::string& canonical) const;
};

// One set of weights of a file.
struct WeightSet {
  const WeightLayout* layout = nullptr;
  std::string prefix;                        // before every name: "state_dict.model.module.", or empty
  std::map<std::string, std::string> names;  // of the naming -> in the file
  bool is_copy = false;                      // by its prefix an average, a teacher or the optimizer's copy
  std::vector<std::string> doubled;          // names in the file that stand for a tensor of `names` a second time
};

// A name of a file without what the pickle of a whole module puts into it, and with the text encoder's names of every
// version of transformers made one.
std::string tidy_name(std::string_view name);

// A tidy name without the parts that wrappers put into it (torch.compile, DDP, FSDP, activation checkpointing).
// `removed` counts them.
std::string bare_name(std::string_view tidy, std::map<std::string, size_t>* removed = nullptr);

// The sets of weights among the entries of a file, whatever prefix their names have, by falling size; no two share a
// tensor, and none is smaller than half of the largest. All names of a set have the same prefix, wrappers included: of
// two sets with wrappers of their own, none borrows from the other. `wanted`: the names of the network's tensors by
// naming. `tidy`: the tidy name of each entry.
std::vector<WeightSet> find_weight_sets(const std::map<std::string, std::string>& tidy,
                                        const std::array<std::vector<std::string>, kNamings>& wanted);

}  // namespace sam3
