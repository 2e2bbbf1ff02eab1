#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace sam3::test {

// SHA-256 as 64 hexadecimal digits: recordings keep it of masks that they do not keep whole.
std::string sha256(const std::vector<uint8_t>& bytes);

}  // namespace sam3::test
