#include "support/recorded_call.h"

#include <cstdlib>
#include <cstring>

namespace sam3::test {

std::string argument(const std::string& call, const std::string& name) {
  size_t found = call.find(name + "=");
  if (found == std::string::npos) found = call.find("(" + name + " ");
  if (found == std::string::npos) return "";
  if (call[found] == '(') found++;
  const size_t begin = found + name.size() + 1;
  int depth = 0;
  size_t end = begin;
  for (; end < call.size(); end++) {
    if (call[end] == '[') depth++;
    if (call[end] == ']') depth--;
    if (depth < 0 || (depth == 0 && (call[end] == ',' || call[end] == ')'))) break;
  }
  const std::string text = call.substr(begin, end - begin);
  return text == "None" ? "" : text;
}

std::vector<float> numbers(const std::string& text) {
  std::vector<float> out;
  for (const char* at = text.c_str(); *at;) {
    at += std::strcspn(at, "-0123456789.");
    char* end = nullptr;
    const float value = std::strtof(at, &end);
    if (end != at) out.push_back(value);
    at = end != at ? end : at + (*at != 0);
  }
  return out;
}

}  // namespace sam3::test
