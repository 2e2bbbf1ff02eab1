#pragma once
#include <cstddef>
#include <cstdint>
#include <map>
#include <stdexcept>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace sam3 {

// What is wrong with a JSON text, and where ("at byte 17"). Callers turn it into an Error that names the file.
class JsonError : public std::runtime_error {
  using std::runtime_error::runtime_error;
};

// Bounds against hostile files: a text within them needs at most some 200 MB and no deep stack.
struct JsonLimits {
  size_t bytes = 100'000'000;  // the header limit of the safetensors format
  size_t values = 2'000'000;   // a header with 2,000 tensors has some 20,000
  int depth = 64;              // of objects and arrays
};

// A JSON value. Our own small reader, because LibTorch ships no JSON header and three short formats (safetensors
// headers, shard indexes, name maps) are no reason for a dependency of every installation. Strict RFC 8259: UTF-8 is
// checked, duplicate keys, trailing commas, comments, NaN and leading zeros are refused.
class Json {
 public:
  using Array = std::vector<Json>;
  using Object = std::map<std::string, Json, std::less<>>;

  // Throws JsonError.
  static Json parse(std::string_view text, const JsonLimits& limits = {});

  // The value as the given type; JsonError (naming `what`) where it is of another one.
  bool as_bool(std::string_view what) const;
  int64_t as_int(std::string_view what) const;  // a whole number written without fraction or exponent, within int64
  double as_double(std::string_view what) const;
  const std::string& as_string(std::string_view what) const;
  const Array& as_array(std::string_view what) const;
  const Object& as_object(std::string_view what) const;

  // The member `key` of an object: null where absent; at() throws JsonError instead.
  const Json* find(std::string_view key) const;
  const Json& at(std::string_view key) const;

 private:
  friend class JsonParser;
  std::variant<std::nullptr_t, bool, int64_t, double, std::string, Array, Object> value_ = nullptr;
};

}  // namespace sam3
