#pragma once
#include <ATen/core/Tensor.h>
#include <c10/core/ScalarType.h>

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace sam3 {

struct WeightInfo {
  std::vector<int64_t> shape;
  at::ScalarType dtype;
};

// The named tensors of a weight file, under the names that the file uses.
class WeightSource {
 public:
  virtual ~WeightSource() = default;
  // Every tensor's shape and dtype; complete, and checked against the file's size, before any weight is read.
  virtual const std::map<std::string, WeightInfo>& entries() const = 0;
  // A read-only view into the mapped file: zero-copy, valid while the source lives, never to be written to. (A copy
  // where the file keeps the data at an address that its dtype cannot be read from.) Throws ERR_INTERNAL for an unknown
  // name.
  virtual at::Tensor read(const std::string& name) const = 0;
  virtual const std::string& path() const = 0;
  // Says that the tensor's bytes are not needed for now, so that loading does not keep the whole file resident.
  virtual void release(const std::string& name) const = 0;
};

enum class WeightFormat {
  safetensors,  // one file
  index,        // the index of a sharded set
  torch_save,   // torch.save of a dict of tensors: Meta's sam3.pt, a trainer's checkpoint, pytorch_model.bin
  torchscript,  // a self-contained checkpoint: program and weights
};

// By the file's content, whatever its name. Throws ERR_MODEL_NOT_FOUND, ERR_MODEL_FORMAT, ERR_WEIGHTS_CORRUPT.
WeightFormat detect_format(const std::string& path);

// Maps a safetensors file, a file of torch.save or the shards that an index names, and checks its structure; reads no
// weights. Throws as detect_format(); a TorchScript file, which is no mere list of weights, is ERR_MODEL_FORMAT.
std::unique_ptr<WeightSource> open_weights(const std::string& path);

// The same for a single file: an index is ERR_MODEL_FORMAT.
std::unique_ptr<WeightSource> open_weight_file(const std::string& path);

}  // namespace sam3
