#pragma once
#include <ATen/core/Tensor.h>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <random>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace sam3::test {

// A folder of its own for one test case; gone with its contents afterwards.
class TempFolder {
 public:
  TempFolder();
  ~TempFolder();
  TempFolder(const TempFolder&) = delete;
  TempFolder& operator=(const TempFolder&) = delete;
  // Writes the file and returns its path.
  std::string write(const std::string& name, std::string_view content) const;
  std::string path(const std::string& name = "") const { return (path_ / name).string(); }

 private:
  std::filesystem::path path_;
};

std::string read_file(const std::string& path);
// Path of a file in test/native/fixtures.
std::string fixture(const std::string& name);

inline std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text));
}

// A valid safetensors file: the tensors in this order, and the raw text of a "__metadata__" member if given.
std::string make_safetensors(const std::vector<std::pair<std::string, at::Tensor>>& tensors,
                             const std::string& metadata = "");
// A safetensors file of this header text (its length is put before it) and data.
std::string raw_safetensors(std::string_view header, std::string_view data = "");

// Runs `body`, which must throw a sam3::Error, and returns "CODE: message"; anything else fails the test case.
std::string error_of(const std::function<void()>& body);

// Number of random cases: SAM3_FUZZ_CASES in the environment, else `usual`.
int fuzz_cases(int usual);

// One to four random changes of the kinds that break files: flipped bits, replaced, inserted and deleted bytes, changed
// digits and 8-byte lengths, a cut-off end. Deterministic for a given state of `random`.
std::string mutate(std::string content, std::mt19937_64& random);

}  // namespace sam3::test
