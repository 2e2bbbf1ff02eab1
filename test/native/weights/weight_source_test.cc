#include "weights/weight_source.h"

#include <ATen/Functions.h>
#include <doctest/doctest.h>

#include "support/support.h"

using namespace sam3;
using namespace sam3::test;

TEST_CASE("weight_source: the format is told by the content, not by the name") {
  const TempFolder folder;
  const auto weights = make_safetensors({{"a", at::ones({2})}});
  CHECK(detect_format(folder.write("a.pt", weights)) == WeightFormat::safetensors);
  CHECK(detect_format(folder.write("b", R"({"weight_map":{}})")) == WeightFormat::index);
  CHECK(detect_format(folder.write("c.safetensors", read_file(fixture("flat.pt")))) == WeightFormat::torch_save);
  CHECK(detect_format(folder.write("d.safetensors", read_file(fixture("program.pt")))) == WeightFormat::torchscript);
  CHECK(open_weights(folder.path("a.pt"))->entries().size() == 1);
  CHECK(open_weights(folder.path("b"))->entries().empty());
}

TEST_CASE("weight_source: a file of no known format is refused with a hint") {
  const TempFolder folder;
  const auto fails = [&](std::string_view content) {
    const auto path = folder.write("weights", content);
    const auto error = error_of([&] { detect_format(path); });
    CHECK(error_of([&] { open_weights(path); }) == error);
    return error;
  };
  CHECK(fails("<!doctype html><html>not found</html>").starts_with("ERR_MODEL_FORMAT"));
  CHECK(fails("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n").find("git lfs pull") !=
        std::string::npos);
  CHECK(fails(read_file(fixture("legacy.pt"))).find("before PyTorch 1.6") != std::string::npos);
  CHECK(fails(std::string("PK\3\4") + std::string(100, 'x')).starts_with("ERR_WEIGHTS_CORRUPT"));
  CHECK(error_of([&] { open_weights(fixture("program.pt")); }).find("load it as a checkpoint") != std::string::npos);
  CHECK(error_of([&] { open_weights(folder.path("absent")); }).starts_with("ERR_MODEL_NOT_FOUND"));
  CHECK(error_of([&] { open_weights(folder.path()); }).starts_with("ERR_MODEL_NOT_FOUND"));
  CHECK(error_of([&] { open_weights(folder.write("short.bin", "xyz")); }).starts_with("ERR_WEIGHTS_CORRUPT"));
  CHECK(error_of([&] {
          open_weights(folder.write("noise.safetensors", std::string(100, '\x90')));
        }).starts_with("ERR_WEIGHTS_CORRUPT"));
}
