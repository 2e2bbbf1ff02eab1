#pragma once
#include <ATen/core/Tensor.h>
#include <c10/core/Device.h>

#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "weights/weight_layout.h"
#include "weights/weight_source.h"

namespace sam3 {

// Sizes of the network that its caller needs to know.
struct Architecture {
  int64_t image_size;    // pixels of the square input the weights were trained for
  int64_t patch_size;    // pixels
  int64_t window_size;   // patches: the grid of patches must be a multiple of it
  int64_t vision_width;  // channels of the image encoder
  int64_t vision_layers;
  int64_t hidden_size;    // channels of everything after it
  int64_t num_queries;    // detections per prompt, kept or not
  int64_t decoder_heads;  // of the detector's attention to the image
  int64_t text_context;   // tokens
  int64_t text_vocab;
  int64_t memory_size;  // channels of a memory frame
  int64_t slots = 0;    // objects that share one pass of the tracker: SAM 3.1 (Object Multiplex); 0 in SAM 3
};

// What the sam3.json inside a self-contained checkpoint says of it.
struct CheckpointHeader {
  Architecture architecture;
  std::set<std::string> keep_float32;  // parameters that keep their precision whatever the model's dtype
};

// Throws ERR_MODEL_FORMAT; `path` names the checkpoint in its message.
CheckpointHeader parse_checkpoint(const std::string& sam3_json, const std::string& path);

// How one tensor of a program is made from those of a weight file, in one of the namings.
struct Recipe {
  enum class Operation { copy, concat, drop_first, reshape };
  Operation operation;
  std::vector<std::string> from;
  std::vector<int64_t> source_shape;  // reshape only

  // The shape that the recipe makes of these source shapes; nothing where they do not fit together.
  std::optional<std::vector<int64_t>> result_shape(const std::vector<std::vector<int64_t>>& sources) const;
};

struct ProgramTensor {
  std::string name;
  std::vector<int64_t> shape;
  bool keep_float32;
  std::array<Recipe, kNamings> recipes;  // without names (`from`) where there is no such naming of the model
};

struct WeightPlan;

// How the tensors of a program are made from those of a weight file: the names.json that scripts/export writes beside
// the program. It knows two namings, that of the transformers library (model.safetensors) and Meta's (sam3.pt), which
// is the only one of SAM 3.1; which one a file uses, and what it puts before the names, is told by its tensors
// (weight_plan.h).
class NameMap {
 public:
  // Throws ERR_MODEL_NOT_FOUND, ERR_MODEL_FORMAT.
  static NameMap load(const std::string& names_json_path);
  static NameMap parse(const std::string& json_text, const std::string& path);

  const std::string& path() const { return path_; }
  const Architecture& architecture() const { return architecture_; }
  const std::vector<ProgramTensor>& tensors() const { return tensors_; }
  // The pattern under which a tensor of that naming is of no use to SAM 3; empty where it is of use, or unknown.
  std::string ignored_by(Naming naming, const std::string& name) const;

  // Hands every tensor of the program that `plan` has a part for to `bind`, one at a time: assembled, on `device`, as
  // `dtype` (as float32 where the map says so), and owning its memory, so that `source` may go afterwards. Beside the
  // tensors already bound, at most one source tensor is resident or on the device. `progress` gets the bytes of the
  // file read so far, and in all. Throws the plan's problem before anything is read; ERR_OUT_OF_MEMORY where memory
  // ends.
  void bind(const WeightSource& source, const WeightPlan& plan, at::Device device, at::ScalarType dtype,
            const std::function<void(const std::string&, at::Tensor)>& bind,
            const std::function<void(uint64_t, uint64_t)>& progress = {}) const;
  // The same with the plan of plan_weights().
  void bind(const WeightSource& source, at::Device device, at::ScalarType dtype,
            const std::function<void(const std::string&, at::Tensor)>& bind,
            const std::function<void(uint64_t, uint64_t)>& progress = {}) const;

 private:
  std::string path_;
  Architecture architecture_{};
  std::vector<ProgramTensor> tensors_;
  std::array<std::vector<std::string>, kNamings> ignored_;  // exact names, or patterns with *
};

}  // namespace sam3
