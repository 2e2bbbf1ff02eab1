#pragma once
#include <cstdint>
#include <string>
#include <type_traits>
#include <vector>

#include "weights/json.h"

namespace sam3::bench {

// One answer: a JSON object on a line of its own, printed at once.
class Line {
 public:
  explicit Line(const std::string& task) { add("task", task); }
  Line& add(const std::string& key, const std::string& value);
  Line& add(const std::string& key, double value);
  template <class T>
  Line& add(const std::string& key, const std::vector<T>& values) {
    std::string list;
    for (const T& value : values) {
      list += list.empty() ? "" : ",";
      if constexpr (std::is_integral_v<T>)
        list += std::to_string(value);
      else
        list += number(static_cast<double>(value));
    }
    return raw(key, "[" + list + "]");
  }
  // Median, least and count of the times of equal calls.
  Line& times(const std::vector<double>& ms, double per = 1);
  Line& raw(const std::string& key, const std::string& json);
  void print() const;
  const std::string& text() const { return text_; }  // without the closing brace

 private:
  static std::string number(double value);
  std::string text_;
};

// Values of a job with what holds where they are absent.
int64_t integer(const Json& object, const char* key, int64_t usual);
double decimal(const Json& object, const char* key, double usual);
std::string text(const Json& object, const char* key, const std::string& usual);

}  // namespace sam3::bench
