#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "core/error.h"
#include "weights/name_map.h"
#include "weights/weight_layout.h"
#include "weights/weight_parts.h"
#include "weights/weight_source.h"

namespace sam3 {

// Tensors of one kind.
struct WeightGroup {
  std::string name;  // a module of the program, or the common beginning of names in the file
  size_t count = 0;
  size_t of = 0;  // missing ones only: tensors of the file that the module needs
  std::string example;
};

// Which of a file's tensors are bound to a program, and why not the others. Made from names, shapes and dtypes alone.
struct WeightPlan {
  WeightSet set;                           // what is bound; without a layout where nothing of SAM 3 was found
  WeightParts parts;                       // which of them are there
  std::vector<WeightGroup> missing;        // by module of the program, parts that are absent as a whole included
  std::vector<WeightGroup> ignored;        // tensors of the file that nothing needs
  std::vector<WeightGroup> others;         // other sets of weights, by their prefix
  std::map<std::string, size_t> wrappers;  // parts of names that wrappers had put there, and how often
  std::map<std::string, size_t> dtypes;    // of the tensors used
  size_t used = 0;                         // tensors
  uint64_t parameters = 0;                 // numbers in them
  std::optional<Error> problem;            // why these weights cannot be loaded

  // True where the part that needs this tensor is there.
  bool has(const ProgramTensor& tensor) const;
};

// The set of weights that is meant: the only one; of several the one that is no average or copy of the others by its
// prefix. Its problem is ERR_MODEL_FORMAT where the file holds other weights than SAM 3's, or several sets that are
// equally good, and ERR_WEIGHTS_MISMATCH, which lists all that are missing, unexpected, of the wrong shape or no
// floating-point numbers. A part that is wholly absent is no problem, as long as something can be asked.
WeightPlan plan_weights(const NameMap& map, const WeightSource& source);

}  // namespace sam3
