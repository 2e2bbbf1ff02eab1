#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "weights/mapped_file.h"
#include "weights/pickle.h"
#include "weights/weight_source.h"
#include "weights/zip_archive.h"

namespace sam3 {

// What torch.save wrote: a dict of tensors, as Meta's sam3.pt is, or anything that holds such dicts, as the checkpoints
// of trainers do. A tensor is named by the way to it from the root: "state_dict.model.linear.weight". Entries that are
// no tensors are skipped, and so are complex tensors (the file's freqs_cis tables, which the program computes) and a
// dict that was met before under another name. The tensors are views into the mapped file. Throws ERR_WEIGHTS_CORRUPT
// (a damaged archive or pickle, a tensor outside its record) and ERR_MODEL_FORMAT (no dict of tensors).
class TorchZip final : public WeightSource {
 public:
  explicit TorchZip(const std::string& path);
  const std::map<std::string, WeightInfo>& entries() const override { return entries_; }
  at::Tensor read(const std::string& name) const override;
  const std::string& path() const override { return file_.path(); }
  void release(const std::string& name) const override;

 private:
  void place(const std::string& name, const Pickle::Node& tensor, const ZipArchive& archive);
  struct Placed {
    size_t offset;  // of the first element, from the start of the file
    size_t bytes;   // from the first element to the end of the last one
    std::vector<int64_t> strides;
  };
  MappedFile file_;
  std::map<std::string, Placed> tensors_;
  std::map<std::string, WeightInfo> entries_;
};

}  // namespace sam3
