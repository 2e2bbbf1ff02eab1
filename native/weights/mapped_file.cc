#include "weights/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>
#include <utility>

#include "core/error.h"

namespace sam3 {
namespace {

struct Descriptor {
  int number;
  ~Descriptor() {
    if (number >= 0) close(number);
  }
};

[[noreturn]] void fail(ErrorCode code, const std::string& path, int error, const char* fix) {
  throw Error(code, "Cannot open " + path + ": " + std::generic_category().message(error) + ".", fix);
}

}  // namespace

MappedFile::MappedFile(const std::string& path) : path_(path) {
  const Descriptor file{open(path.c_str(), O_RDONLY | O_CLOEXEC)};
  struct stat info{};
  if (file.number < 0 || fstat(file.number, &info) != 0)
    fail(ERR_MODEL_NOT_FOUND, path, errno, "Check the path of the model and the permissions of the file.");
  if (!S_ISREG(info.st_mode))
    throw Error(ERR_MODEL_NOT_FOUND, path + " is not a file.", "Give the path of the weight file itself.");
  if (info.st_size == 0) throw Error(ERR_WEIGHTS_CORRUPT, path + " is empty.", "Download the file again.");
  size_ = static_cast<size_t>(info.st_size);
  void* address = mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, file.number, 0);
  if (address == MAP_FAILED) fail(ERR_OUT_OF_MEMORY, path, errno, "Raise the limit on address space (ulimit -v).");
  data_ = static_cast<const std::byte*>(address);
}

MappedFile::~MappedFile() {
  unmap();
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : path_(std::move(other.path_)), data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  if (this != &other) {
    unmap();
    path_ = std::move(other.path_);
    data_ = std::exchange(other.data_, nullptr);
    size_ = std::exchange(other.size_, 0);
  }
  return *this;
}

void MappedFile::unmap() noexcept {
  if (data_) munmap(const_cast<std::byte*>(data_), size_);
}

void MappedFile::release(size_t offset, size_t length) const {
  if (offset >= size_ || length == 0) return;
  // Whole pages only. Rounded outwards: a neighbour that shares a page merely faults it in again.
  static const size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  const size_t begin = offset / page * page;
  const size_t end = std::min(size_, offset + std::min(length, size_ - offset));
  madvise(const_cast<std::byte*>(data_) + begin, end - begin, MADV_DONTNEED);
}

}  // namespace sam3
