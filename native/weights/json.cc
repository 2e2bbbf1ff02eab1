#include "weights/json.h"

#include <charconv>
#include <optional>
#include <utility>

namespace sam3 {
namespace {

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

// Length in bytes of the UTF-8 sequence at the start of `text`, or 0 where it is malformed: overlong forms, surrogates
// and code points above U+10FFFF included (table 3-7 of the Unicode standard).
size_t utf8_length(std::string_view text) {
  const auto byte = [&](size_t i) { return i < text.size() ? static_cast<unsigned char>(text[i]) : 0u; };
  const auto continues = [&](size_t i) { return (byte(i) & 0xC0u) == 0x80u; };
  const unsigned a = byte(0), b = byte(1);
  if (a < 0x80) return 1;
  if (a < 0xC2) return 0;
  if (a < 0xE0) return continues(1) ? 2 : 0;
  if (a < 0xF0) {
    const bool in_range = (a != 0xE0 || b >= 0xA0) && (a != 0xED || b < 0xA0);
    return in_range && continues(1) && continues(2) ? 3 : 0;
  }
  if (a < 0xF5) {
    const bool in_range = (a != 0xF0 || b >= 0x90) && (a != 0xF4 || b < 0x90);
    return in_range && continues(1) && continues(2) && continues(3) ? 4 : 0;
  }
  return 0;
}

void append_utf8(std::string& out, uint32_t code) {
  const auto put = [&](uint32_t byte) { out.push_back(static_cast<char>(byte)); };
  if (code < 0x80) {
    put(code);
  } else if (code < 0x800) {
    put(0xC0 | code >> 6), put(0x80 | (code & 0x3F));
  } else if (code < 0x10000) {
    put(0xE0 | code >> 12), put(0x80 | (code >> 6 & 0x3F)), put(0x80 | (code & 0x3F));
  } else {
    put(0xF0 | code >> 18), put(0x80 | (code >> 12 & 0x3F)), put(0x80 | (code >> 6 & 0x3F)), put(0x80 | (code & 0x3F));
  }
}

[[noreturn]] void wrong_type(std::string_view what, const char* expected) {
  throw JsonError(std::string(what) + " is not " + expected);
}

}  // namespace

class JsonParser {
 public:
  JsonParser(std::string_view text, const JsonLimits& limits) : text_(text), limits_(limits) {}

  Json document() {
    if (text_.size() > limits_.bytes)
      throw JsonError("the JSON text has " + std::to_string(text_.size()) + " bytes, more than the allowed " +
                      std::to_string(limits_.bytes));
    Json root = value(0);
    skip_space();
    if (at_ != text_.size()) fail("unexpected text after the end");
    return root;
  }

 private:
  [[noreturn]] void fail(const std::string& what) const {
    throw JsonError("invalid JSON at byte " + std::to_string(at_) + ": " + what);
  }
  char peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }
  bool take(char c) {
    if (at_ >= text_.size() || text_[at_] != c) return false;
    at_++;
    return true;
  }
  void expect(char c) {
    if (!take(c)) fail(std::string("'") + c + "' expected");
  }
  void skip_space() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\n' || text_[at_] == '\r' || text_[at_] == '\t'))
      at_++;
  }

  void enter(int depth) const {
    if (depth >= limits_.depth) fail("nested deeper than " + std::to_string(limits_.depth) + " levels");
  }

  Json value(int depth) {
    if (++values_ > limits_.values) fail("more than " + std::to_string(limits_.values) + " values");
    skip_space();
    Json out;
    switch (peek()) {
      case '{': out.value_ = object(depth); break;
      case '[': out.value_ = array(depth); break;
      case '"': out.value_ = string(); break;
      case 't':
        word("true");
        out.value_ = true;
        break;
      case 'f':
        word("false");
        out.value_ = false;
        break;
      case 'n': word("null"); break;
      default: number(out);
    }
    return out;
  }

  Json::Object object(int depth) {
    Json::Object members;
    enter(depth);
    expect('{');
    skip_space();
    if (take('}')) return members;
    do {
      skip_space();
      std::string key = string();
      skip_space();
      expect(':');
      const auto [place, fresh] = members.try_emplace(std::move(key));
      if (!fresh) fail("duplicate key \"" + place->first + "\"");
      place->second = value(depth + 1);
      skip_space();
    } while (take(','));
    expect('}');
    return members;
  }

  Json::Array array(int depth) {
    Json::Array items;
    enter(depth);
    expect('[');
    skip_space();
    if (take(']')) return items;
    do {
      items.push_back(value(depth + 1));
      skip_space();
    } while (take(','));
    expect(']');
    return items;
  }

  void word(std::string_view expected) {
    if (text_.substr(at_, expected.size()) != expected) fail("a value expected");
    at_ += expected.size();
  }

  void digits() {
    if (!is_digit(peek())) fail("a value expected");
    while (is_digit(peek())) at_++;
  }

  void number(Json& out) {
    const size_t begin = at_;
    bool whole = true;
    take('-');
    if (!take('0')) digits();  // no digit may follow a leading zero: the caller then finds text where none may be
    if (take('.')) whole = false, digits();
    if (peek() == 'e' || peek() == 'E') {
      at_++;
      whole = false;
      if (!take('+')) take('-');
      digits();
    }
    const char* const first = text_.data() + begin;
    const char* const last = text_.data() + at_;
    int64_t integer = 0;
    if (whole && std::from_chars(first, last, integer).ec == std::errc()) {
      out.value_ = integer;
      return;
    }
    double real = 0;
    if (std::from_chars(first, last, real).ec != std::errc()) fail("a number out of range");
    out.value_ = real;
  }

  std::string string() {
    std::string out;
    expect('"');
    for (;;) {
      if (at_ >= text_.size()) fail("a string without end");
      const char c = text_[at_];
      if (c == '"') break;
      if (c == '\\') {
        at_++;
        escape(out);
      } else if (static_cast<unsigned char>(c) < 0x20) {
        fail("a control character inside a string");
      } else {
        const size_t length = utf8_length(text_.substr(at_));
        if (length == 0) fail("malformed UTF-8");
        out.append(text_, at_, length);
        at_ += length;
      }
    }
    at_++;
    return out;
  }

  void escape(std::string& out) {
    static constexpr std::string_view kLetters = "\"\\/bfnrt", kMeanings = "\"\\/\b\f\n\r\t";
    if (take('u')) {
      uint32_t code = hex4();
      if (code >= 0xDC00 && code < 0xE000) fail("a low surrogate without a high one");
      if (code >= 0xD800 && code < 0xDC00) {
        uint32_t low = 0;
        if (!take('\\') || !take('u') || (low = hex4()) < 0xDC00 || low >= 0xE000)
          fail("a high surrogate without a low one");
        code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
      }
      append_utf8(out, code);
      return;
    }
    const size_t index = at_ < text_.size() ? kLetters.find(text_[at_]) : std::string_view::npos;
    if (index == std::string_view::npos) fail("an unknown escape");
    out.push_back(kMeanings[index]);
    at_++;
  }

  uint32_t hex4() {
    uint32_t code = 0;
    const std::string_view digits = text_.substr(at_, 4);
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), code, 16);
    if (digits.size() != 4 || error != std::errc() || end != digits.data() + 4)
      fail("four hexadecimal digits expected");
    at_ += 4;
    return code;
  }

  std::string_view text_;
  JsonLimits limits_;
  size_t at_ = 0;
  size_t values_ = 0;
};

Json Json::parse(std::string_view text, const JsonLimits& limits) {
  return JsonParser(text, limits).document();
}

bool Json::as_bool(std::string_view what) const {
  if (const auto* value = std::get_if<bool>(&value_)) return *value;
  wrong_type(what, "true or false");
}

int64_t Json::as_int(std::string_view what) const {
  if (const auto* value = std::get_if<int64_t>(&value_)) return *value;
  wrong_type(what, "a whole number");
}

double Json::as_double(std::string_view what) const {
  if (const auto* value = std::get_if<int64_t>(&value_)) return static_cast<double>(*value);
  if (const auto* value = std::get_if<double>(&value_)) return *value;
  wrong_type(what, "a number");
}

const std::string& Json::as_string(std::string_view what) const {
  if (const auto* value = std::get_if<std::string>(&value_)) return *value;
  wrong_type(what, "a string");
}

const Json::Array& Json::as_array(std::string_view what) const {
  if (const auto* value = std::get_if<Array>(&value_)) return *value;
  wrong_type(what, "an array");
}

const Json::Object& Json::as_object(std::string_view what) const {
  if (const auto* value = std::get_if<Object>(&value_)) return *value;
  wrong_type(what, "an object");
}

const Json* Json::find(std::string_view key) const {
  const auto* members = std::get_if<Object>(&value_);
  if (!members) return nullptr;
  const auto place = members->find(key);
  return place == members->end() ? nullptr : &place->second;
}

const Json& Json::at(std::string_view key) const {
  const Json* member = find(key);
  if (!member) throw JsonError("\"" + std::string(key) + "\" is missing");
  return *member;
}

}  // namespace sam3
