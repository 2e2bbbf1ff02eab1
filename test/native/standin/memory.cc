#include "standin/memory.h"

#include <c10/core/impl/alloc_cpu.h>
#include <sys/mman.h>

#include <algorithm>
#include <cstring>

#include "standin/counters.h"

namespace sam3::standin {
namespace {

constexpr int kNaN = 0xFF;  // as a byte: NaN in every float format, the largest numbers as integers
constexpr size_t kLarge = size_t{8} << 20;

void give_back(void* address) {
  const std::lock_guard guard(mutex());
  if (address) Memory::get().give(address);
}

struct Allocator final : c10::DeviceAllocator {
  c10::DataPtr allocate(size_t bytes) override {
    const std::lock_guard guard(mutex());
    void* address = Memory::get().take(bytes);
    return {address, address, &give_back, kDevice};
  }
  c10::DeleterFnPtr raw_deleter() const override { return &give_back; }
  void copy_data(void* to, const void* from, size_t bytes) const override {
    std::memcpy(Memory::get().host_of(to), Memory::get().host_of(from), bytes);
  }
  bool initialized() override { return true; }
  void emptyCache(c10::MempoolId_t) override {}
  void recordStream(const c10::DataPtr&, c10::Stream) override {}
  c10::CachingDeviceAllocator::DeviceStats getDeviceStats(c10::DeviceIndex) override {
    const std::lock_guard guard(mutex());
    c10::CachingDeviceAllocator::DeviceStats stats;
    stats.allocated_bytes[0].current = static_cast<int64_t>(Memory::get().used());
    stats.reserved_bytes[0].current = static_cast<int64_t>(Memory::get().reserved());
    return stats;
  }
  void resetAccumulatedStats(c10::DeviceIndex) override {}
  void resetPeakStats(c10::DeviceIndex) override { Memory::get().reset_peak(); }
  std::pair<size_t, size_t> getMemoryInfo(c10::DeviceIndex) override {
    const size_t total = size_t{80} << 30;
    return {total - std::min(total, Memory::get().used()), total};
  }
};

// Plain memory whose blocks are remembered.
struct PinnedAllocator final : c10::Allocator {
  std::map<const std::byte*, size_t> blocks;

  static PinnedAllocator& get() {
    static auto* one = new PinnedAllocator;
    return *one;
  }
  static void give_back(void* address) {
    {
      const std::lock_guard guard(mutex());
      get().blocks.erase(static_cast<const std::byte*>(address));
    }
    c10::free_cpu(address);
  }
  c10::DataPtr allocate(size_t bytes) override {
    void* address = bytes == 0 ? nullptr : c10::alloc_cpu(bytes);
    const std::lock_guard guard(mutex());
    if (address) blocks[static_cast<const std::byte*>(address)] = bytes;
    return {address, address, &give_back, c10::Device(c10::kCPU)};
  }
  c10::DeleterFnPtr raw_deleter() const override { return &give_back; }
  void copy_data(void* to, const void* from, size_t bytes) const override { std::memcpy(to, from, bytes); }
};

}  // namespace

Memory& Memory::get() {
  static auto* one = new Memory;
  return *one;
}

Memory::Memory() {
  const auto reserve = [](int access) {
    void* address = mmap(nullptr, kSize, access, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    TORCH_CHECK(address != MAP_FAILED, "standin: no address space");
    return static_cast<std::byte*>(address);
  };
  device_ = reserve(PROT_NONE);
  host_ = reserve(PROT_READ | PROT_WRITE);
}

void* Memory::take(size_t bytes) {
  if (bytes == 0) return nullptr;
  size_t size = (bytes + 511) / 512 * 512;
  if (size > (1 << 20)) size = (size + (1 << 18) - 1) >> 18 << 18;  // few sizes, so that they are met again
  size_t place;
  if (auto& known = free_[size]; !known.empty()) {
    place = known.back();
    known.pop_back();
  } else {
    place = top_;
    TORCH_CHECK_WITH(OutOfMemoryError, top_ + size <= kSize, "standin: out of memory");
    top_ += size;
  }
  blocks_[place] = {size, false};
  used_ += size;
  peak_ = std::max(peak_, used_);
  if (kernels() == Kernels::run) std::memset(host_ + place, kNaN, size);
  return device_ + place;
}

void Memory::give(void* address) {
  const auto place = static_cast<size_t>(static_cast<std::byte*>(address) - device_);
  const auto found = blocks_.find(place);
  TORCH_CHECK(found != blocks_.end(), "standin: memory is given back that was not taken");
  const size_t size = found->second.size;
  blocks_.erase(found);
  used_ -= size;
  if (kernels() == Kernels::run) {
    if (size > kLarge)
      madvise(host_ + place, size, MADV_DONTNEED);
    else
      std::memset(host_ + place, kNaN, size);
  }
  free_[size].push_back(place);
}

bool Memory::varies(const at::Tensor& tensor) const {
  const void* address = tensor.storage().data();
  if (!address) return false;
  const auto found = blocks_.find(static_cast<size_t>(static_cast<const std::byte*>(address) - device_));
  return found != blocks_.end() && found->second.varies;
}

void Memory::set_varies(const at::Tensor& tensor, bool varies) {
  const void* address = tensor.storage().data();
  if (!address) return;
  const auto found = blocks_.find(static_cast<size_t>(static_cast<const std::byte*>(address) - device_));
  if (found != blocks_.end()) found->second.varies = varies;
}

c10::Allocator& Memory::pinned() {
  return PinnedAllocator::get();
}

bool Memory::is_pinned(const void* address) const {
  const auto& blocks = PinnedAllocator::get().blocks;
  const auto* place = static_cast<const std::byte*>(address);
  auto after = blocks.upper_bound(place);
  if (after == blocks.begin()) return false;
  const auto& [begin, size] = *--after;
  return place < begin + size;
}

c10::DeviceAllocator& allocator() {
  static auto* one = new Allocator;
  return *one;
}

void resize(const c10::Storage& storage, size_t bytes) {
  auto fresh = allocator().allocate(bytes);
  if (storage.data() && fresh.get() && kernels() == Kernels::run)
    std::memcpy(Memory::get().host_of(fresh.get()), Memory::get().host_of(storage.data()),
                std::min(bytes, storage.nbytes()));
  auto* impl = storage.unsafeGetStorageImpl();
  impl->set_data_ptr_noswap(std::move(fresh));
  impl->set_nbytes(bytes);
}

}  // namespace sam3::standin
