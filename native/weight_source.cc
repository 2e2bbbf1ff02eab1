#include "weight_source.h"

#include <algorithm>
#include <cctype>
#include <span>
#include <string_view>

#include "error.h"
#include "mapped_file.h"
#include "safetensors.h"
#include "torch_zip.h"
#include "zip_archive.h"

namespace sam3 {
namespace {

enum class Content { safetensors, index, torch_save, torchscript };

[[noreturn]] void unknown(const std::string& path, const std::string& cause) {
  throw Error("ERR_MODEL_FORMAT",
              path + " " + cause +
                  " Give a model.safetensors (or its .index.json), Meta's sam3.pt, or a checkpoint made by "
                  "scripts/export.");
}

Content classify(const MappedFile& file) {
  const std::string_view text(reinterpret_cast<const char*>(file.bytes().data()), file.size());
  const std::string& path = file.path();
  if (text.starts_with("PK\x03\x04")) {
    const ZipArchive archive(file.bytes(), path);
    if (archive.has("constants.pkl") && archive.has_folder("code/")) return Content::torchscript;
    if (archive.has("data.pkl")) return Content::torch_save;
    unknown(path, "is a zip archive, but neither torch.save nor torch.jit.save wrote it.");
  }
  // A safetensors header follows an 8-byte length, whose upper bytes are no text; a JSON index is text from the first
  // byte.
  const auto is_text = [](unsigned char c) { return std::isprint(c) || std::isspace(c); };
  if (text.size() > 8 && text[8] == '{' && !std::all_of(text.begin(), text.begin() + 8, is_text))
    return Content::safetensors;
  if (text.starts_with("version https://git-lfs"))
    unknown(path, "is a Git LFS pointer, not the weights themselves: fetch them with `git lfs pull`.");
  if (text.starts_with("\x80\x02"))
    unknown(path,
            "is a pickle of the old kind, before PyTorch 1.6: load it in Python and save it again with torch.save.");
  const size_t start = text.find_first_not_of(" \t\r\n");
  if (start != std::string_view::npos && text[start] == '{') return Content::index;
  if (text.size() < 16 || path.ends_with(".safetensors")) return Content::safetensors;  // its reader says what is wrong
  unknown(path, "is in no known weight format.");
}

}  // namespace

WeightFormat detect_format(const std::string& path) {
  switch (classify(MappedFile(path))) {
    case Content::torchscript: return WeightFormat::torchscript;
    case Content::torch_save: return WeightFormat::meta_checkpoint;
    default: return WeightFormat::safetensors;
  }
}

std::unique_ptr<WeightSource> open_weights(const std::string& path) {
  switch (classify(MappedFile(path))) {
    case Content::safetensors: return std::make_unique<SafetensorsFile>(path);
    case Content::index: return std::make_unique<ShardedSafetensors>(path);
    case Content::torch_save: return std::make_unique<TorchZip>(path);
    case Content::torchscript: break;
  }
  unknown(path, "is a TorchScript program, not a list of weights: load it as a checkpoint.");
}

}  // namespace sam3
