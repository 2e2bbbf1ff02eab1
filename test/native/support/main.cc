#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>

#include "support/golden.h"
#include "torch_cuda.h"

int main(int argc, char** argv) {
  sam3::open_torch_for(sam3::test::test_device());
  return doctest::Context(argc, argv).run();
}
