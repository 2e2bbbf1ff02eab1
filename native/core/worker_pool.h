#pragma once
#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

namespace sam3 {

// Threads of the host for work that comes in pieces. Pieces begin in the order in which they came, urgent ones first.
class WorkerPool {
 public:
  explicit WorkerPool(size_t threads);
  ~WorkerPool();  // ends when all pieces have
  WorkerPool(const WorkerPool&) = delete;
  WorkerPool& operator=(const WorkerPool&) = delete;

  // Runs body(0) to body(count - 1) on any of the threads, then `after` on the one that ends last. Neither may throw.
  void run(size_t count, bool urgent, std::function<void(size_t)> body, std::function<void()> after);

 private:
  struct Work {
    std::function<void(size_t)> body;
    std::function<void()> after;
    size_t count = 0, begun = 0, ended = 0;
  };
  void serve();

  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::shared_ptr<Work>> urgent_, other_;  // with pieces that have not begun
  bool over_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace sam3
