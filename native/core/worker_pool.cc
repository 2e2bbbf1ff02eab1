#include "core/worker_pool.h"

#include <utility>

namespace sam3 {

WorkerPool::WorkerPool(size_t threads) {
  for (size_t i = 0; i < threads; i++) threads_.emplace_back([this] { serve(); });
}

WorkerPool::~WorkerPool() {
  {
    const std::lock_guard lock(mutex_);
    over_ = true;
  }
  wake_.notify_all();
  for (auto& thread : threads_) thread.join();
}

void WorkerPool::run(size_t count, bool urgent, std::function<void(size_t)> body, std::function<void()> after) {
  auto work = std::make_shared<Work>();
  work->body = std::move(body);
  work->after = std::move(after);
  work->count = count;
  {
    const std::lock_guard lock(mutex_);
    (urgent ? urgent_ : other_).push_back(std::move(work));
  }
  wake_.notify_all();
}

void WorkerPool::serve() {
  std::unique_lock lock(mutex_);
  for (;;) {
    wake_.wait(lock, [this] { return over_ || !urgent_.empty() || !other_.empty(); });
    if (urgent_.empty() && other_.empty()) return;
    auto& queue = urgent_.empty() ? other_ : urgent_;
    const auto work = queue.front();
    const size_t piece = work->begun++;
    if (work->begun >= work->count) queue.pop_front();
    lock.unlock();
    if (piece < work->count) work->body(piece);
    lock.lock();
    // Work without pieces ends as well.
    if (++work->ended < work->count) continue;
    lock.unlock();
    work->after();
    lock.lock();
  }
}

}  // namespace sam3
