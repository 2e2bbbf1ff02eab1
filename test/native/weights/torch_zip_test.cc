#include "weights/torch_zip.h"

#include <ATen/Functions.h>
#include <doctest/doctest.h>

#include "core/error.h"
#include "support/support.h"
#include "weights/pickle.h"
#include "weights/weight_source.h"
#include "weights/zip_archive.h"

using namespace sam3;
using namespace sam3::test;

namespace {

// The four tensors of the fixtures, below these names.
void check_tensors(const WeightSource& source, const std::string& linear, const std::string& buffers) {
  CHECK(source.entries().size() == 4);  // the complex freqs_cis is skipped
  const std::string view = buffers + "view";
  CHECK((source.entries().at(view).dtype == at::kBFloat16));
  CHECK(at::equal(source.read(linear + "weight"), at::arange(6.0).view({2, 3})));
  CHECK(at::equal(source.read(linear + "bias"), at::tensor({-1.0f, 0.5f})));
  CHECK(at::equal(source.read(view), at::arange(4, 8).to(at::kBFloat16)));
  CHECK(at::equal(source.read(buffers + "transposed"), at::arange(6.0).view({2, 3}).t()));
  CHECK(source.read(view).const_data_ptr() == source.read(view).const_data_ptr());  // no copy
  source.release(view);
  CHECK(at::equal(source.read(view), at::arange(4, 8).to(at::kBFloat16)));
}

// A pickle of protocol 2 with this body.
std::string pickled(const std::string& body) {
  return "\x80\x02" + body;
}

std::string pickle_error(const std::string& text) {
  try {
    Pickle pickle(bytes_of(text));
  } catch (const PickleError& error) {
    return error.what();
  }
  return "accepted";
}

// `content` with every `from` replaced by the equally long `to`.
std::string replaced(std::string content, const std::string& from, const std::string& to) {
  REQUIRE(from.size() == to.size());
  REQUIRE(content.find(from) != std::string::npos);
  for (size_t at = content.find(from); at != std::string::npos; at = content.find(from, at + to.size()))
    content.replace(at, to.size(), to);
  return content;
}

}  // namespace

TEST_CASE("torch_zip: a state_dict reads alike however it was saved") {
  for (const char* name : {"flat.pt", "nested.pt", "protocol4.pt", "parameters.pt"}) {
    CAPTURE(name);
    const std::string way = name == std::string("flat.pt") ? "" : "model.";
    check_tensors(TorchZip(fixture(name)), way + "linear.", way);
    check_tensors(*open_weights(fixture(name)), way + "linear.", way);
  }
  // A whole module: nothing of its class is needed to find its tensors.
  check_tensors(TorchZip(fixture("module.pt")), "_modules.linear._parameters.", "_buffers.");
  CHECK(error_of([&] { TorchZip(fixture("flat.pt")).read("freqs_cis"); }).starts_with("ERR_INTERNAL"));
}

TEST_CASE("torch_zip: what is no dict of tensors is told apart from what is damaged") {
  CHECK(error_of([&] { TorchZip file(fixture("list.pt")); }).starts_with("ERR_MODEL_FORMAT"));
  CHECK(error_of([&] { TorchZip file(fixture("no_tensors.pt")); }).find("holds no tensor") != std::string::npos);
  const TempFolder folder;
  const std::string valid = read_file(fixture("nested.pt"));
  const auto open_changed = [&](const std::string& content) {
    const auto path = folder.write("changed.pt", content);
    return error_of([&] { TorchZip file(path); });
  };
  CHECK(open_changed(replaced(valid, "little", "bigger")).starts_with("ERR_MODEL_FORMAT"));
  CHECK(open_changed(replaced(valid, "data.pkl", "data.pkx")).starts_with("ERR_MODEL_FORMAT"));
  // The elements of a storage (BININT1 after the location) and a tensor's size: beyond the record.
  CHECK(open_changed(replaced(valid, "K\x06tq", "K\x05tq")).find("reaches outside its record") != std::string::npos);
  CHECK(open_changed(replaced(valid, "K\x02K\x03\x86", "K\x02K\x04\x86")).find("reaches outside its record") !=
        std::string::npos);
  CHECK(open_changed(replaced(valid, "nested/data/0", "nested/data/9")).find("is missing") != std::string::npos);
}

TEST_CASE("torch_zip: a file cut off anywhere is refused") {
  const TempFolder folder;
  const std::string valid = read_file(fixture("flat.pt"));
  for (size_t size = 1; size < valid.size(); size += 7) {
    CAPTURE(size);
    const auto path = folder.write("cut.pt", std::string_view(valid).substr(0, size));
    const auto error = error_of([&] { TorchZip file(path); });
    CHECK(error.starts_with("ERR_WEIGHTS_CORRUPT"));
  }
}

TEST_CASE("torch_zip: random changes of a valid file never lead outside of it") {
  const TempFolder folder;
  std::mt19937_64 random(3);
  int accepted = 0;
  for (const char* name : {"flat.pt", "protocol4.pt"}) {
    const std::string valid = read_file(fixture(name));
    for (int i = 0; i < fuzz_cases(20'000) / 20; i++) {
      const auto path = folder.write("fuzz.pt", mutate(valid, random));
      try {
        const TorchZip file(path);
        for (const auto& [tensor, info] : file.entries()) file.read(tensor).clone();
        accepted++;
      } catch (const Error& error) {
        REQUIRE((error.code() == ERR_WEIGHTS_CORRUPT || error.code() == ERR_MODEL_FORMAT));
      }
    }
  }
  MESSAGE("accepted after the change: " << accepted);
}

TEST_CASE("zip_archive: random changes of the archive and of its pickle never lead outside of them") {
  const std::string valid = read_file(fixture("nested.pt"));
  const ZipArchive archive(bytes_of(valid), "valid");
  const auto record = archive.data("data.pkl");
  const std::string pickle(reinterpret_cast<const char*>(record.data()), record.size());
  std::mt19937_64 random(4);
  int archives = 0, pickles = 0;
  for (int i = 0; i < fuzz_cases(20'000) / 2; i++) {
    const auto exact = [](const std::string& s) { return std::vector<char>(s.begin(), s.end()); };
    const auto file = exact(mutate(valid, random));
    try {
      const ZipArchive changed(std::as_bytes(std::span(file)), "fuzz");
      for (const char* name : {"data.pkl", "byteorder", "data/0", "data/1", "data/2", "version"})
        for (const std::byte byte : changed.data(name)) archives += byte == std::byte{1};
    } catch (const Error& error) {
      REQUIRE(error.code() == ERR_WEIGHTS_CORRUPT);
    }
    const auto text = exact(mutate(pickle, random));
    try {
      const Pickle changed(std::as_bytes(std::span(text)));
      pickles += changed.root().find("model") != nullptr;
    } catch (const PickleError&) {
    }
  }
  MESSAGE("pickles that still hold \"model\": " << pickles);
}

TEST_CASE("pickle: hostile pickles end in an error, not in a crash") {
  CHECK(pickle_error("").find("ends too early") != std::string::npos);
  CHECK(pickle_error(pickled(".")).find("stack is empty") != std::string::npos);
  CHECK(pickle_error(pickled("}")).find("ends too early") != std::string::npos);
  CHECK(pickle_error("\x80\x01}.").find("protocol 1") != std::string::npos);
  CHECK(pickle_error(pickled("I1\n.")).find("torch.save does not write") != std::string::npos);
  CHECK(pickle_error(pickled("h\x05.")).find("never named") != std::string::npos);
  CHECK(pickle_error(pickled("t.")).find("mark is missing") != std::string::npos);
  CHECK(pickle_error(pickled("}(K\x01u.")).find("key without a value") != std::string::npos);
  CHECK(pickle_error(pickled("K\x01K\x02"
                             "a."))
            .find("no list") != std::string::npos);
  CHECK(pickle_error(pickled("K\x01K\x02K\x03s.")).find("no dict") != std::string::npos);
  CHECK(pickle_error(pickled("(K\x01(0.")).find("accepted") != std::string::npos);
  CHECK(pickle_error(pickled("X\xFF\xFF\xFF\xFF.")).find("ends too early") != std::string::npos);
  CHECK(pickle_error(pickled("cos\nsystem")).find("name without end") != std::string::npos);
  CHECK(pickle_error(pickled("c" + std::string(2000, 'x') + "\ny\n.")).find("too long") != std::string::npos);
  CHECK(pickle_error(pickled(std::string(1'100'000, 'N') + ".")).find("more than 1000000 objects") !=
        std::string::npos);
  // Deep nesting and a list that holds itself: neither a deep recursion nor a leak.
  CHECK(pickle_error(pickled("N" + std::string(900'000, '\x85') + ".")) == "accepted");
  CHECK(pickle_error(pickled("]q\1h\1a.")) == "accepted");
  // Members and attributes of objects of unknown classes are read, whatever refers to whatever.
  CHECK(pickle_error(pickled("ca\nb\n)\x81q\1h\1U\1ah\1sb.")) == "accepted");
  const std::string distributed = pickled("ctorch.distributed.tensor\nDTensor\n.");
  CHECK(Pickle(bytes_of(distributed)).names_class(" DTensor"));
  const std::string object = pickled("ca\nb\n)\x81}U\1aK\1sb.");
  CHECK(Pickle(bytes_of(object)).root().find("a")->integer == 1);
  // Nothing is called: os.system is an opaque object.
  const std::string call = pickled(std::string("cos\nsystem\nX\4\0\0\0echo\x85R.", 23));
  CHECK(Pickle(bytes_of(call)).root().kind == Pickle::Kind::opaque);
}

TEST_CASE("pickle: the last of equal keys wins, as in Python") {
  const std::string text = pickled("}(U\1aK\1U\1aK\2u.");
  const Pickle pickle(bytes_of(text));
  REQUIRE(pickle.root().find("a"));
  CHECK(pickle.root().find("a")->integer == 2);
  CHECK(pickle.root().find("b") == nullptr);
}
