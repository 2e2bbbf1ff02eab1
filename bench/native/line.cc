#include "line.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

namespace sam3::bench {

std::string Line::number(double value) {
  if (!std::isfinite(value)) return "null";
  char buffer[32];
  std::snprintf(buffer, sizeof buffer, "%.9g", value);
  return buffer;
}

Line& Line::raw(const std::string& key, const std::string& json) {
  text_ += (text_.empty() ? "{\"" : ",\"") + key + "\":" + json;
  return *this;
}

Line& Line::add(const std::string& key, const std::string& value) {
  std::string quoted = "\"";
  for (const char c : value) {
    if (c == '"' || c == '\\') quoted += '\\';
    quoted += static_cast<unsigned char>(c) < 0x20 ? ' ' : c;
  }
  return raw(key, quoted + "\"");
}

Line& Line::add(const std::string& key, double value) {
  return raw(key, number(value));
}

Line& Line::times(const std::vector<double>& ms, double per) {
  std::vector<double> sorted = ms;
  std::sort(sorted.begin(), sorted.end());
  const auto n = sorted.size();
  if (n == 0) return add("rounds", 0.0);
  const double median = n % 2 ? sorted[n / 2] : (sorted[n / 2 - 1] + sorted[n / 2]) / 2;
  return add("ms", median / per).add("least_ms", sorted[0] / per).add("rounds", static_cast<double>(n));
}

void Line::print() const {
  std::printf("%s}\n", text_.c_str());
  std::fflush(stdout);
}

int64_t integer(const Json& object, const char* key, int64_t usual) {
  const Json* found = object.find(key);
  return found ? found->as_int(key) : usual;
}

double decimal(const Json& object, const char* key, double usual) {
  const Json* found = object.find(key);
  return found ? found->as_double(key) : usual;
}

std::string text(const Json& object, const char* key, const std::string& usual) {
  const Json* found = object.find(key);
  return found ? found->as_string(key) : usual;
}

}  // namespace sam3::bench
