#include "error.h"

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

}  // namespace

void rethrow_as(const std::string& code, const std::string& context) {
  std::string cause;
  try {
    throw;
  } catch (const Error&) {
    throw;
  } catch (const c10::OutOfMemoryError& error) {
    throw Error("ERR_OUT_OF_MEMORY", context + ": " + error.what_without_backtrace());
  } catch (const c10::Error& error) {
    cause = error.what_without_backtrace();
  } catch (const std::bad_alloc&) {
    throw Error("ERR_OUT_OF_MEMORY", context + ": the host's memory is exhausted");
  } catch (const std::exception& error) {
    cause = error.what();
  } catch (...) {
    cause = "an exception of unknown type";
  }
  throw Error(tells_of_exhausted_memory(cause) ? "ERR_OUT_OF_MEMORY" : code, context + ": " + cause);
}

}  // namespace sam3
