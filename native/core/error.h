#pragma once
#include <stdexcept>
#include <string>
#include <utility>

#include "core/error_code.h"

namespace sam3 {

// The one exception that leaves native/: a stable code, the cause as a sentence, and what to do about it, also as a
// sentence; empty where that depends on the caller. what() is both sentences.
class Error : public std::runtime_error {
 public:
  Error(ErrorCode code, std::string cause, std::string fix = {})
      : std::runtime_error(fix.empty() ? cause : cause + " " + fix),
        code_(code),
        cause_(std::move(cause)),
        fix_(std::move(fix)) {}
  ErrorCode code() const noexcept { return code_; }
  const std::string& cause() const noexcept { return cause_; }
  const std::string& fix() const noexcept { return fix_; }

 private:
  ErrorCode code_;
  std::string cause_, fix_;
};

// To be called inside a catch block: throws the exception in flight on as an Error. An Error passes unchanged, an
// exhausted memory (host or device) becomes ERR_OUT_OF_MEMORY, anything else becomes `code` with the message
// "`context` failed: cause", the cause without LibTorch's C++ backtrace and without TorchScript's call stack.
[[noreturn]] void rethrow_as(ErrorCode code, const std::string& context);

// Runs `body`; what it throws is translated by rethrow_as().
template <class Body>
auto translate(ErrorCode code, const std::string& context, Body&& body) -> decltype(body()) {
  try {
    return body();
  } catch (...) {
    rethrow_as(code, context);
  }
}

}  // namespace sam3
