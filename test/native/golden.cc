#include "golden.h"

#include <doctest/doctest.h>

#include <cstdlib>

namespace sam3::test {

GoldenModel golden_model() {
  const auto setting = [](const char* name) { return std::string(std::getenv(name) ? std::getenv(name) : ""); };
  GoldenModel golden{setting("SAM3_TEST_PROGRAM"), setting("SAM3_TEST_MODEL")};
  if (!golden) MESSAGE("SAM3_TEST_PROGRAM and SAM3_TEST_MODEL are not set: nothing to test");
  return golden;
}

}  // namespace sam3::test
