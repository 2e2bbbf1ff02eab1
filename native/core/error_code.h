#pragma once
#include <array>
#include <cstddef>

namespace sam3 {

#define SAM3_ERROR_CODE(code) code,
enum class ErrorCode {
#include "core/error_codes.def"
};
#undef SAM3_ERROR_CODE
using enum ErrorCode;

#define SAM3_ERROR_CODE(code) #code,
inline constexpr auto kErrorCodeNames = std::to_array<const char*>({
#include "core/error_codes.def"
});
#undef SAM3_ERROR_CODE

constexpr const char* name_of(ErrorCode code) {
  return kErrorCodeNames[static_cast<std::size_t>(code)];
}

}  // namespace sam3
