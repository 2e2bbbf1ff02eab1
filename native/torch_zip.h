#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "mapped_file.h"
#include "weight_source.h"
#include "zip_archive.h"

namespace sam3 {

// A dict of tensors written by torch.save: Meta's sam3.pt. The dict may be the file's root or lie under "model".
// Entries that are no tensors are skipped, and so are complex tensors (the file's freqs_cis tables, which the program
// computes). The tensors are views into the mapped file. Throws ERR_WEIGHTS_CORRUPT (a damaged archive or pickle, a
// tensor outside its record) and ERR_MODEL_FORMAT (no dict of tensors).
class TorchZip final : public WeightSource {
 public:
  explicit TorchZip(const std::string& path);
  const std::map<std::string, WeightInfo>& entries() const override { return entries_; }
  at::Tensor read(const std::string& name) const override;
  const std::string& path() const override { return file_.path(); }
  void release(const std::string& name) const override;

 private:
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
