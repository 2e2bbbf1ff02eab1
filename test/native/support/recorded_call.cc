#include "support/recorded_call.h"

#include <regex>

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
  static const std::regex number("-?[0-9.]+(e-?[0-9]+)?");
  for (std::sregex_iterator it(text.begin(), text.end(), number), end; it != end; ++it)
    out.push_back(std::stof(it->str()));
  return out;
}

}  // namespace sam3::test
