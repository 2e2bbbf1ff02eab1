#pragma once
#include <cstddef>
#include <map>
#include <span>
#include <string>
#include <string_view>

namespace sam3 {

// The directory of a zip archive as torch.save and torch.jit.save write it: one top folder, records stored
// uncompressed, so that they can be used where they lie in a mapped file. Our own reader because LibTorch's does not
// tell a stored record from a compressed one. Does not own the bytes. Format: PKWARE APPNOTE 6.3.
class ZipArchive {
 public:
  struct Record {
    size_t offset;  // of the local header
    size_t bytes;   // as they lie in the file
    bool stored;    // neither compressed nor encrypted
  };

  // Reads the central directory; `path` is for messages. Throws ERR_WEIGHTS_CORRUPT.
  ZipArchive(std::span<const std::byte> file, const std::string& path);

  // True where a record of this name exists, below the archive's top folder.
  bool has(std::string_view name) const { return find(name) != nullptr; }
  // True where a record lies in the folder of this name ("code/").
  bool has_folder(std::string_view name) const;
  // The bytes of a record; throws ERR_WEIGHTS_CORRUPT where it is absent, compressed or reaches past the directory.
  std::span<const std::byte> data(std::string_view name) const;

 private:
  const Record* find(std::string_view name) const;
  std::span<const std::byte> file_;
  std::string path_;
  std::string root_;  // "archive/"
  size_t directory_ = 0;
  std::map<std::string, Record, std::less<>> records_;
};

}  // namespace sam3
