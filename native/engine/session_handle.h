#pragma once
#include <atomic>
#include <memory>

#include "video/session/video_session.h"

namespace sam3 {

// A video session as its users hold it. The session itself is the engine's: made, used and freed on its thread.
class SessionHandle {
 private:
  friend class Engine;
  std::atomic<bool> closing_{false};
  std::unique_ptr<VideoSession> session_;  // engine thread only; null once closed
};

using SessionPtr = std::shared_ptr<SessionHandle>;

}  // namespace sam3
