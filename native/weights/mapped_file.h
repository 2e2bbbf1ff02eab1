#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace sam3 {

// A whole file mapped read-only: its bytes come from the page cache when they are touched, nothing is copied. Moves,
// does not copy. The file must not be truncated by another process while it is mapped: the kernel answers a read past
// the new end with SIGBUS, which no library can turn into an error (replacing the file by a rename, as downloaders do,
// is safe).
class MappedFile {
 public:
  // Throws ERR_MODEL_NOT_FOUND (absent, unreadable, no regular file), ERR_WEIGHTS_CORRUPT (empty), ERR_OUT_OF_MEMORY.
  explicit MappedFile(const std::string& path);
  ~MappedFile();
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;

  const std::string& path() const { return path_; }
  size_t size() const { return size_; }
  std::span<const std::byte> bytes() const { return {data_, size_}; }

  // Tells the kernel that these bytes of the mapping are not needed any more: the process's resident memory shrinks by
  // them. Reading them again is allowed and fetches them anew.
  void release(size_t offset, size_t length) const;

 private:
  void unmap() noexcept;
  std::string path_;
  const std::byte* data_ = nullptr;
  size_t size_ = 0;
};

}  // namespace sam3
