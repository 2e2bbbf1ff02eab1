#include "core/error.h"

#include <c10/util/Exception.h>

#include <new>
#include <string_view>

namespace sam3 {
namespace {

// LibTorch has a class for a device out of memory, but its host allocator reports by message alone.
bool tells_of_exhausted_memory(std::string_view message) {
  return message.find("DefaultCPUAllocator: can't allocate memory") != std::string_view::npos ||
         message.find("DefaultCPUAllocator: not enough memory") != std::string_view::npos ||
         message.find("out of memory") != std::string_view::npos;
}

// TorchScript wraps a failure in the program's whole call stack; its last line is the cause.
std::string last_line(const std::string& message) {
  if (message.find("TorchScript") == std::string::npos) return message;
  const auto end = message.find_last_not_of(" \n\t");
  if (end == std::string::npos) return message;
  const auto newline = message.find_last_of('\n', end);
  const auto begin = newline == std::string::npos ? 0 : newline + 1;
  return message.substr(begin, end + 1 - begin);
}

[[noreturn]] void throw_out_of_memory(const std::string& context, const std::string& cause) {
  throw Error(ERR_OUT_OF_MEMORY, context + ": not enough memory (" + cause + ").",
              "Send fewer images or prompts at once, lower memoryBudget or inputSize, or use dtype 'bfloat16'.");
}

}  // namespace

void rethrow_as(ErrorCode code, const std::string& context) {
  std::string cause;
  try {
    throw;
  } catch (const Error&) {
    throw;
  } catch (const c10::OutOfMemoryError& error) {
    throw_out_of_memory(context, last_line(error.what_without_backtrace()));
  } catch (const c10::Error& error) {
    cause = error.what_without_backtrace();
  } catch (const std::bad_alloc&) {
    throw_out_of_memory(context, "the host's memory is exhausted");
  } catch (const std::exception& error) {
    cause = error.what();
  } catch (...) {
    cause = "an exception of unknown type";
  }
  cause = last_line(cause);
  if (tells_of_exhausted_memory(cause)) throw_out_of_memory(context, cause);
  throw Error(code, context + " failed: " + cause);
}

}  // namespace sam3
