#pragma once

#include <stdexcept>
#include <string>
#include <utility>

namespace sam3 {

/// The one exception that leaves native/: `code` is stable (ERR_MODEL_FORMAT ...), what() names the cause and the fix.
class Error : public std::runtime_error {
 public:
  Error(std::string code, const std::string& message) : std::runtime_error(message), code_(std::move(code)) {}
  const std::string& code() const noexcept { return code_; }

 private:
  std::string code_;
};

/// To be called inside a catch block: throws the exception in flight on as an Error. An Error passes unchanged, an
/// exhausted memory (host or device) becomes ERR_OUT_OF_MEMORY, anything else becomes `code` with the message
/// "`context` failed: cause", the cause without LibTorch's C++ backtrace and without TorchScript's call stack.
[[noreturn]] void rethrow_as(const std::string& code, const std::string& context);

/// Runs `body`; what it throws is translated by rethrow_as().
template <class Body>
auto translate(const std::string& code, const std::string& context, Body&& body) -> decltype(body()) {
  try {
    return body();
  } catch (...) {
    rethrow_as(code, context);
  }
}

}  // namespace sam3
