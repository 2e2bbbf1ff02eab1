#include "weights/weight_source.h"

#include <algorithm>
#include <cctype>
#include <span>
#include <string_view>

#include "core/error.h"
#include "weights/mapped_file.h"
#include "weights/safetensors.h"
#include "weights/sharded_weights.h"
#include "weights/torch_zip.h"
#include "weights/zip_archive.h"

namespace sam3 {
namespace {

[[noreturn]] void unknown(const std::string& path, const std::string& cause) {
  throw Error(ERR_MODEL_FORMAT, path + " " + cause,
              "Give a model.safetensors (or its .index.json), Meta's sam3.pt, a checkpoint of a trainer, or one made "
              "by scripts/export.");
}

WeightFormat classify(const MappedFile& file) {
  const std::string_view text(reinterpret_cast<const char*>(file.bytes().data()), file.size());
  const std::string& path = file.path();
  if (text.starts_with("PK\x03\x04")) {
    const ZipArchive archive(file.bytes(), path);
    if (archive.has("constants.pkl") && archive.has_folder("code/")) return WeightFormat::torchscript;
    if (archive.has("data.pkl")) return WeightFormat::torch_save;
    unknown(path, "is a zip archive, but neither torch.save nor torch.jit.save wrote it.");
  }
  // A safetensors header follows an 8-byte length, whose upper bytes are no text; a JSON index is text from the first
  // byte.
  const auto is_text = [](unsigned char c) { return std::isprint(c) || std::isspace(c); };
  if (text.size() > 8 && text[8] == '{' && !std::all_of(text.begin(), text.begin() + 8, is_text))
    return WeightFormat::safetensors;
  if (text.starts_with("version https://git-lfs"))
    unknown(path, "is a Git LFS pointer, not the weights themselves: fetch them with `git lfs pull`.");
  if (text.size() > 2 && text[0] == '\x80' && text[1] >= 2 && text[1] <= 5)
    unknown(path,
            "is a pickle of the old kind, before PyTorch 1.6: load it in Python and save it again with torch.save.");
  const size_t start = text.find_first_not_of(" \t\r\n");
  if (start != std::string_view::npos && text[start] == '{') return WeightFormat::index;
  if (text.size() < 16 || path.ends_with(".safetensors"))
    return WeightFormat::safetensors;  // its reader says what is wrong
  unknown(path, "is in no known weight format.");
}

}  // namespace

WeightFormat detect_format(const std::string& path) {
  return classify(MappedFile(path));
}

std::unique_ptr<WeightSource> open_weights(const std::string& path) {
  if (detect_format(path) == WeightFormat::index) return std::make_unique<ShardedWeights>(path);
  return open_weight_file(path);
}

std::unique_ptr<WeightSource> open_weight_file(const std::string& path) {
  switch (detect_format(path)) {
    case WeightFormat::safetensors: return std::make_unique<SafetensorsFile>(path);
    case WeightFormat::torch_save: return std::make_unique<TorchZip>(path);
    case WeightFormat::index: unknown(path, "is an index, not the weights themselves.");
    case WeightFormat::torchscript: break;
  }
  unknown(path, "is a TorchScript program, not a list of weights: load it as a checkpoint.");
}

}  // namespace sam3
