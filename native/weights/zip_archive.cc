#include "weights/zip_archive.h"

#include <algorithm>
#include <cstdint>

#include "core/error.h"

namespace sam3 {
namespace {

constexpr uint32_t kLocalHeader = 0x04034b50, kDirectoryHeader = 0x02014b50, kEnd = 0x06054b50, kEnd64 = 0x06064b50,
                   kEnd64Locator = 0x07064b50;
constexpr size_t kLocalBytes = 30, kDirectoryBytes = 46, kEndBytes = 22, kEnd64Bytes = 56, kLocatorBytes = 20;
constexpr size_t kMaxComment = 0xFFFF;
constexpr uint64_t kIn64 = 0xFFFFFFFF;  // a 32-bit field whose value stands in the zip64 extra field
constexpr uint16_t kZip64Extra = 1;

[[noreturn]] void corrupt(const std::string& path, const std::string& cause) {
  throw Error(ERR_WEIGHTS_CORRUPT, path + " is a damaged or truncated zip archive: " + cause + ".",
              "Download the file again.");
}

// Little-endian reads that end in ERR_WEIGHTS_CORRUPT rather than past the file.
class Bytes {
 public:
  Bytes(std::span<const std::byte> bytes, const std::string& path) : bytes_(bytes), path_(path) {}
  uint64_t number(uint64_t at, size_t width) const {
    const auto field = part(at, width);
    uint64_t value = 0;
    for (size_t i = width; i-- > 0;) value = value << 8 | std::to_integer<uint64_t>(field[i]);
    return value;
  }
  std::span<const std::byte> part(uint64_t at, uint64_t length) const {
    if (at > bytes_.size() || length > bytes_.size() - at) corrupt(path_, "a field lies outside the file");
    return bytes_.subspan(at, length);
  }
  std::string text(uint64_t at, uint64_t length) const {
    const auto field = part(at, length);
    return {reinterpret_cast<const char*>(field.data()), field.size()};
  }

 private:
  std::span<const std::byte> bytes_;
  const std::string& path_;
};

// The end record stands last, before a comment of up to 64 KiB.
size_t find_end(const Bytes& bytes, size_t size, const std::string& path) {
  if (size < kEndBytes) corrupt(path, "it is too short");
  const size_t last = size - kEndBytes;
  const size_t first = last - std::min(last, kMaxComment);
  for (size_t at = last + 1; at-- > first;)
    if (bytes.number(at, 4) == kEnd && at + kEndBytes + bytes.number(at + 20, 2) == size) return at;
  corrupt(path, "its directory is missing");
}

struct Directory {
  uint64_t offset, bytes, records;
};

Directory find_directory(const Bytes& bytes, size_t size, const std::string& path) {
  const size_t end = find_end(bytes, size, path);
  Directory directory{bytes.number(end + 16, 4), bytes.number(end + 12, 4), bytes.number(end + 10, 2)};
  if (end >= kLocatorBytes && bytes.number(end - kLocatorBytes, 4) == kEnd64Locator) {
    const uint64_t end64 = bytes.number(end - kLocatorBytes + 8, 8);
    if (bytes.part(end64, kEnd64Bytes).empty() || bytes.number(end64, 4) != kEnd64)
      corrupt(path, "its zip64 end record is missing");
    directory = {bytes.number(end64 + 48, 8), bytes.number(end64 + 40, 8), bytes.number(end64 + 32, 8)};
  }
  bytes.part(directory.offset, directory.bytes);
  return directory;
}

// Replaces the 32-bit fields that say "see the zip64 extra field", which holds only those, in this order.
void read_zip64(const Bytes& bytes, uint64_t extra, uint64_t extra_bytes, uint64_t& full, uint64_t& packed,
                uint64_t& offset, const std::string& path) {
  const uint64_t end = extra + extra_bytes;
  for (uint64_t at = extra; at + 4 <= end;) {
    const uint64_t id = bytes.number(at, 2), length = bytes.number(at + 2, 2);
    if (id == kZip64Extra) {
      uint64_t field = at + 4;
      const uint64_t field_end = std::min(end, at + 4 + length);
      for (uint64_t* value : {&full, &packed, &offset}) {
        if (*value != kIn64) continue;
        if (field + 8 > field_end) corrupt(path, "a zip64 field is too short");
        *value = bytes.number(field, 8);
        field += 8;
      }
      return;
    }
    at += 4 + length;
  }
}

}  // namespace

ZipArchive::ZipArchive(std::span<const std::byte> file, const std::string& path) : file_(file), path_(path) {
  const Bytes bytes(file_, path_);
  const Directory directory = find_directory(bytes, file_.size(), path_);
  directory_ = directory.offset;
  const uint64_t end = directory.offset + directory.bytes;
  uint64_t at = directory.offset;
  for (uint64_t i = 0; i < directory.records; i++) {
    if (at + kDirectoryBytes > end || bytes.number(at, 4) != kDirectoryHeader)
      corrupt(path_, "its directory is damaged");
    const uint64_t flags = bytes.number(at + 8, 2), method = bytes.number(at + 10, 2);
    uint64_t packed = bytes.number(at + 20, 4), full = bytes.number(at + 24, 4), offset = bytes.number(at + 42, 4);
    const uint64_t name_bytes = bytes.number(at + 28, 2), extra_bytes = bytes.number(at + 30, 2);
    const uint64_t comment_bytes = bytes.number(at + 32, 2), name_at = at + kDirectoryBytes;
    const std::string name = bytes.text(name_at, name_bytes);
    read_zip64(bytes, name_at + name_bytes, extra_bytes, full, packed, offset, path_);
    const bool stored = method == 0 && (flags & 1) == 0 && packed == full;
    if (!records_.emplace(name, Record{offset, packed, stored}).second) corrupt(path_, "it holds " + name + " twice");
    if (i == 0) root_ = name.substr(0, name.find('/') + 1);
    at = name_at + name_bytes + extra_bytes + comment_bytes;
  }
}

const ZipArchive::Record* ZipArchive::find(std::string_view name) const {
  const auto place = records_.find(root_ + std::string(name));
  return place == records_.end() ? nullptr : &place->second;
}

bool ZipArchive::has_folder(std::string_view name) const {
  const std::string folder = root_ + std::string(name);
  const auto place = records_.lower_bound(folder);
  return place != records_.end() && place->first.starts_with(folder);
}

std::span<const std::byte> ZipArchive::data(std::string_view name) const {
  const std::string label(name);
  const Record* record = find(name);
  if (!record) corrupt(path_, "the record " + label + " is missing");
  if (!record->stored) corrupt(path_, "the record " + label + " is compressed, which torch.save never does");
  const Bytes bytes(file_, path_);
  if (bytes.number(record->offset, 4) != kLocalHeader) corrupt(path_, "the record " + label + " has no header");
  const uint64_t name_bytes = bytes.number(record->offset + 26, 2), extra_bytes = bytes.number(record->offset + 28, 2);
  if (bytes.text(record->offset + kLocalBytes, name_bytes) != root_ + label)
    corrupt(path_, "the record " + label + " is not at its place");
  const uint64_t begin = record->offset + kLocalBytes + name_bytes + extra_bytes;
  if (begin > directory_ || record->bytes > directory_ - begin)
    corrupt(path_, "the record " + label + " reaches into the directory");
  return bytes.part(begin, record->bytes);
}

}  // namespace sam3
