#include "weights/safetensors.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <string_view>
#include <utility>

#include "core/error.h"
#include "weights/json.h"
#include "weights/tensor_view.h"

namespace sam3 {
namespace {

constexpr size_t kLengthBytes = 8;
constexpr size_t kMaxHeaderBytes = 100'000'000;  // as the reference implementation
constexpr size_t kMaxDimensions = 64;            // as NumPy

struct DtypeName {
  std::string_view name;
  at::ScalarType type;
};
constexpr std::array<DtypeName, 16> kDtypes{{{"BOOL", at::kBool},
                                             {"U8", at::kByte},
                                             {"I8", at::kChar},
                                             {"F8_E5M2", at::kFloat8_e5m2},
                                             {"F8_E4M3", at::kFloat8_e4m3fn},
                                             {"I16", at::kShort},
                                             {"U16", at::kUInt16},
                                             {"F16", at::kHalf},
                                             {"BF16", at::kBFloat16},
                                             {"I32", at::kInt},
                                             {"U32", at::kUInt32},
                                             {"F32", at::kFloat},
                                             {"F64", at::kDouble},
                                             {"I64", at::kLong},
                                             {"U64", at::kUInt64},
                                             {"C64", at::kComplexFloat}}};

[[noreturn]] void corrupt(const std::string& path, const std::string& cause) {
  throw Error(ERR_WEIGHTS_CORRUPT, path + " is no intact safetensors file: " + cause + ".",
              "Download it again and compare its size with that of the original.");
}

uint64_t little_endian_64(std::span<const std::byte> bytes) {
  uint64_t value = 0;
  for (int i = 7; i >= 0; i--) value = value << 8 | std::to_integer<uint64_t>(bytes[i]);
  return value;
}

at::ScalarType parse_dtype(const std::string& name) {
  const auto* found = std::find_if(kDtypes.begin(), kDtypes.end(), [&](const DtypeName& d) { return d.name == name; });
  if (found == kDtypes.end()) throw JsonError("unknown dtype \"" + name + "\"");
  return found->type;
}

// One member of the header; offsets become relative to the start of the file.
SafetensorsEntry parse_entry(const Json& json, size_t data_begin, size_t data_bytes) {
  SafetensorsEntry entry;
  entry.info.dtype = parse_dtype(json.at("dtype").as_string("dtype"));
  for (const Json& size : json.at("shape").as_array("shape"))
    entry.info.shape.push_back(size.as_int("a size in shape"));
  if (entry.info.shape.size() > kMaxDimensions) throw JsonError("shape has more than 64 dimensions");

  const Json::Array& offsets = json.at("data_offsets").as_array("data_offsets");
  if (offsets.size() != 2) throw JsonError("data_offsets has not two numbers");
  const int64_t begin = offsets[0].as_int("data_offsets"), end = offsets[1].as_int("data_offsets");
  if (begin < 0 || end < begin || static_cast<uint64_t>(end) > data_bytes)
    throw JsonError("data_offsets [" + std::to_string(begin) + ", " + std::to_string(end) +
                    "] lie outside the file's data, which has " + std::to_string(data_bytes) + " bytes");
  entry.offset = data_begin + static_cast<size_t>(begin);
  entry.bytes = static_cast<size_t>(end - begin);

  int64_t needed = checked_numel(entry.info.shape);
  if (needed < 0 || __builtin_mul_overflow(needed, static_cast<int64_t>(c10::elementSize(entry.info.dtype)), &needed))
    throw JsonError("shape is negative or too large");
  if (static_cast<size_t>(needed) != entry.bytes)
    throw JsonError("shape and dtype need " + std::to_string(needed) + " bytes, data_offsets give " +
                    std::to_string(entry.bytes));
  return entry;
}

// Refuses overlapping tensors, gaps between them, and data after the last one.
void check_coverage(const std::map<std::string, SafetensorsEntry>& tensors, size_t data_begin, size_t file_bytes,
                    const std::string& path) {
  std::vector<std::pair<size_t, size_t>> ranges;
  ranges.reserve(tensors.size());
  for (const auto& [name, entry] : tensors) ranges.emplace_back(entry.offset, entry.offset + entry.bytes);
  std::sort(ranges.begin(), ranges.end());
  size_t covered = data_begin;
  for (const auto& [begin, end] : ranges) {
    if (begin != covered)
      corrupt(path, std::string(begin < covered ? "tensors overlap" : "bytes belong to no tensor") + " at byte " +
                        std::to_string(std::min(begin, covered)));
    covered = end;
  }
  if (covered != file_bytes)
    corrupt(path, std::to_string(file_bytes - covered) + " bytes after the last tensor belong to none");
}

}  // namespace

std::map<std::string, SafetensorsEntry> parse_safetensors(std::span<const std::byte> file, const std::string& path) {
  if (file.size() < kLengthBytes) corrupt(path, "it has only " + std::to_string(file.size()) + " bytes");
  const uint64_t header_bytes = little_endian_64(file);
  if (header_bytes > kMaxHeaderBytes || header_bytes > file.size() - kLengthBytes)
    corrupt(path, "its header claims " + std::to_string(header_bytes) + " bytes, the file has " +
                      std::to_string(file.size()));
  const size_t data_begin = kLengthBytes + static_cast<size_t>(header_bytes);
  const std::string_view text(reinterpret_cast<const char*>(file.data()) + kLengthBytes,
                              static_cast<size_t>(header_bytes));
  if (!text.starts_with('{')) corrupt(path, "its header does not begin with '{'");

  std::map<std::string, SafetensorsEntry> tensors;
  std::string where = "header";
  try {
    const Json header = Json::parse(text, {.bytes = kMaxHeaderBytes});
    for (const auto& [name, json] : header.as_object("header")) {
      where = "tensor \"" + name + "\"";
      if (name == "__metadata__") {
        for (const auto& [key, value] : json.as_object(name)) value.as_string("__metadata__." + key);
        continue;
      }
      tensors.emplace(name, parse_entry(json, data_begin, file.size() - data_begin));
    }
  } catch (const JsonError& error) {
    corrupt(path, where + ": " + error.what());
  }
  check_coverage(tensors, data_begin, file.size(), path);
  return tensors;
}

SafetensorsFile::SafetensorsFile(const std::string& path)
    : file_(path), tensors_(parse_safetensors(file_.bytes(), path)) {
  for (const auto& [name, entry] : tensors_) entries_.emplace(name, entry.info);
}

at::Tensor SafetensorsFile::read(const std::string& name) const {
  const auto place = tensors_.find(name);
  if (place == tensors_.end()) throw Error(ERR_INTERNAL, path() + " has no tensor " + name);
  const SafetensorsEntry& entry = place->second;
  return view_of(file_.bytes().data() + entry.offset, entry.info.shape, contiguous_strides(entry.info.shape),
                 entry.info.dtype);
}

void SafetensorsFile::release(const std::string& name) const {
  const auto place = tensors_.find(name);
  if (place != tensors_.end()) file_.release(place->second.offset, place->second.bytes);
}

}  // namespace sam3
