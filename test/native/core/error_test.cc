#include "core/error.h"

#include <c10/util/Exception.h>
#include <doctest/doctest.h>

#include <new>
#include <stdexcept>

#include "support/support.h"

using namespace sam3;
using sam3::test::error_of;

TEST_CASE("error: every exception becomes one with a code, a cause, and no backtrace") {
  const auto translated = [](const std::function<void()>& body) {
    return error_of([&] { translate(ERR_INFERENCE, "Running x", body); });
  };
  CHECK(translated([] { throw Error(ERR_DISPOSED, "gone"); }) == "ERR_DISPOSED: gone");
  CHECK(translated([] { throw std::runtime_error("why"); }) == "ERR_INFERENCE: Running x failed: why");
  CHECK(translated([] { throw 5; }) == "ERR_INFERENCE: Running x failed: an exception of unknown type");
  CHECK(translated([] { throw std::bad_alloc(); }).starts_with("ERR_OUT_OF_MEMORY: Running x"));
  CHECK(translated([] {
          TORCH_CHECK_WITH(OutOfMemoryError, false, "device is full");
        }).starts_with("ERR_OUT_OF_MEMORY: Running x: not enough memory (device is full)"));
  CHECK(translated([] {
          TORCH_CHECK(false, "DefaultCPUAllocator: can't allocate memory: you tried");
        }).starts_with("ERR_OUT_OF_MEMORY"));
  const auto checked = translated([] { TORCH_CHECK(false, "sizes differ"); });
  CHECK(checked == "ERR_INFERENCE: Running x failed: sizes differ");
  const auto scripted = translated([] {
    throw std::runtime_error(
        "The following operation failed in the TorchScript interpreter.\nTraceback ...\nRuntimeError: why\n");
  });
  CHECK(scripted == "ERR_INFERENCE: Running x failed: RuntimeError: why");
  CHECK(translated([] { throw std::runtime_error("no TorchScript file"); }) ==
        "ERR_INFERENCE: Running x failed: no TorchScript file");
  CHECK(translate(ERR_INFERENCE, "Running x", [] { return 7; }) == 7);
}

TEST_CASE("error: code, cause and fix are three things, and what() says both sentences") {
  const Error both(ERR_NO_PROMPT, "It is. So.", "Do this.");
  CHECK(name_of(both.code()) == std::string("ERR_NO_PROMPT"));
  CHECK(both.cause() == "It is. So.");
  CHECK(both.fix() == "Do this.");
  CHECK(both.what() == std::string("It is. So. Do this."));
  CHECK(Error(ERR_INTERNAL, "It is.").what() == std::string("It is."));
  CHECK(name_of(ERR_WEIGHTS_MISMATCH) == std::string("ERR_WEIGHTS_MISMATCH"));  // the last one
}
