#define DOCTEST_CONFIG_IMPLEMENT
#include <c10/core/InferenceMode.h>
#include <doctest/doctest.h>

#include <cstdlib>
#include <string>

#include "standin/pipeline_run.h"
#include "standin/standin.h"

int main(int argc, char** argv) {
  setenv("SAM3_TEST_DEVICE", "standin", /*overwrite=*/1);
  sam3::standin::install();
  // `npm run bench -- pipeline`: no test, but the same program.
  if (argc == 5 && std::string(argv[1]) == "pipeline")
    return sam3::standin::pipeline_run(std::atoll(argv[2]), std::atoll(argv[3]), std::atof(argv[4]));
  // As the engine's thread has it: autograd has nothing to do with this device.
  const c10::InferenceMode guard;
  return doctest::Context(argc, argv).run();
}
