#include "support/support.h"

#include <ATen/Functions.h>
#include <doctest/doctest.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <fstream>
#include <map>
#include <sstream>

#include "core/error.h"

namespace sam3::test {

TempFolder::TempFolder() {
  std::string pattern = (std::filesystem::temp_directory_path() / "sam3-native-XXXXXX").string();
  REQUIRE(mkdtemp(pattern.data()) != nullptr);
  path_ = pattern;
}

TempFolder::~TempFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

std::string TempFolder::write(const std::string& name, std::string_view content) const {
  std::ofstream file(path_ / name, std::ios::binary);
  file << content;
  REQUIRE(file.good());
  return path(name);
}

std::string read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  REQUIRE_MESSAGE(file.good(), path);
  std::ostringstream content;
  content << file.rdbuf();
  return content.str();
}

std::string fixture(const std::string& name) {
  return std::string(SAM3_TEST_FIXTURES) + "/" + name;
}

std::string raw_safetensors(std::string_view header, std::string_view data) {
  std::string file;
  for (int i = 0; i < 8; i++) file.push_back(static_cast<char>(static_cast<uint64_t>(header.size()) >> (8 * i)));
  return file.append(header).append(data);
}

std::string make_safetensors(const std::vector<std::pair<std::string, at::Tensor>>& tensors,
                             const std::string& metadata) {
  static const std::map<at::ScalarType, std::string> kNames{{at::kFloat, "F32"}, {at::kBFloat16, "BF16"},
                                                            {at::kHalf, "F16"},  {at::kLong, "I64"},
                                                            {at::kByte, "U8"},   {at::kBool, "BOOL"}};
  std::string header = metadata.empty() ? "{" : "{\"__metadata__\":" + metadata + (tensors.empty() ? "" : ","), data;
  bool first = true;
  for (const auto& [name, tensor] : tensors) {
    const at::Tensor whole = tensor.contiguous();
    header += std::string(first ? "" : ",") + "\"" + name + "\":{\"dtype\":\"" + kNames.at(whole.scalar_type()) +
              "\",\"shape\":[";
    for (int64_t i = 0; i < whole.dim(); i++) header += (i ? "," : "") + std::to_string(whole.size(i));
    header += "],\"data_offsets\":[" + std::to_string(data.size()) + ",";
    data.append(static_cast<const char*>(whole.const_data_ptr()), whole.nbytes());
    header += std::to_string(data.size()) + "]}";
    first = false;
  }
  header += "}";
  header.append((8 - header.size() % 8) % 8, ' ');
  return raw_safetensors(header, data);
}

std::string error_of(const std::function<void()>& body) {
  try {
    body();
  } catch (const Error& error) {
    return name_of(error.code()) + std::string(": ") + error.what();
  } catch (const std::exception& error) {
    FAIL("no sam3::Error but: " << error.what());
  }
  FAIL("nothing was thrown");
  return "";
}

int fuzz_cases(int usual) {
  const char* wanted = std::getenv("SAM3_FUZZ_CASES");
  return wanted ? std::atoi(wanted) : usual;
}

std::string mutate(std::string content, std::mt19937_64& random) {
  const auto below = [&](size_t n) { return static_cast<size_t>(random() % n); };
  for (size_t change = 1 + below(4); change > 0 && !content.empty(); change--) {
    const size_t at = below(content.size());
    switch (below(8)) {
      case 0:
      case 1: content[at] = static_cast<char>(content[at] ^ (1 << below(8))); break;
      case 2: content[at] = static_cast<char>(random()); break;
      case 3: content.insert(at, 1 + below(9), static_cast<char>(random())); break;
      case 4: content.erase(at, 1 + below(9)); break;
      case 5: {  // another digit, more digits or a minus sign: sizes and offsets
        const size_t digit = content.find_first_of("0123456789", at);
        if (digit == std::string::npos) break;
        const std::string_view choices[] = {"0",         "9", "-1", "99999999999999999999", "9223372036854775807",
                                            "4294967296"};
        content.replace(digit, 1, choices[below(6)]);
        break;
      }
      case 6: {  // a length field
        const uint64_t values[] = {0, 1, 7, 0xFFFFFFFF, 0x7FFFFFFFFFFFFFFF, ~uint64_t{0}, content.size(), random()};
        const size_t place = below(2) ? 0 : at;
        if (content.size() < 8 || place > content.size() - 8) break;
        std::memcpy(content.data() + place, &values[below(8)], 8);
        break;
      }
      default:
        if (below(4) == 0) content.resize(at);
    }
  }
  return content;
}

}  // namespace sam3::test
