#define DOCTEST_CONFIG_IMPLEMENT
#include <c10/core/InferenceMode.h>
#include <doctest/doctest.h>

#include <cstdlib>

#include "standin/standin.h"

int main(int argc, char** argv) {
  setenv("SAM3_TEST_DEVICE", "standin", /*overwrite=*/1);
  sam3::standin::install();
  // As the engine's thread has it: autograd has nothing to do with this device.
  const c10::InferenceMode guard;
  return doctest::Context(argc, argv).run();
}
