#include "weights/json.h"

#include <doctest/doctest.h>

#include <string>

#include "support/support.h"

using sam3::Json;
using sam3::JsonError;

namespace {

std::string cause_of(std::string_view text, const sam3::JsonLimits& limits = {}) {
  try {
    Json::parse(text, limits);
  } catch (const JsonError& error) {
    return error.what();
  }
  return "accepted";
}

}  // namespace

TEST_CASE("json: values of every type") {
  const Json json =
      Json::parse(" { \"a\" : [ 1, -2.5e1, true, false, null, \"x\", {} , [] ], \"b\":{\"c\":9223372036854775807} }\n");
  const auto& a = json.at("a").as_array("a");
  REQUIRE(a.size() == 8);
  CHECK(a[0].as_int("") == 1);
  CHECK(a[0].as_double("") == 1.0);
  CHECK(a[1].as_double("") == -25.0);
  CHECK(a[2].as_bool("") == true);
  CHECK(a[3].as_bool("") == false);
  CHECK(a[5].as_string("") == "x");
  CHECK(a[6].as_object("").empty());
  CHECK(a[7].as_array("").empty());
  CHECK(json.at("b").at("c").as_int("") == INT64_MAX);
  CHECK(json.find("nothing") == nullptr);
  CHECK(a[0].find("member of no object") == nullptr);
}

TEST_CASE("json: a value of another type, and a missing member, are named") {
  const Json json = Json::parse("{\"a\":1.0}");
  CHECK_THROWS_WITH_AS(json.at("a").as_int("offset"), "offset is not a whole number", JsonError);
  CHECK_THROWS_WITH_AS(json.at("a").as_string("name"), "name is not a string", JsonError);
  CHECK_THROWS_WITH_AS(json.at("a").as_array("shape"), "shape is not an array", JsonError);
  CHECK_THROWS_WITH_AS(json.at("a").as_object("map"), "map is not an object", JsonError);
  CHECK_THROWS_WITH_AS(json.at("a").as_bool("flag"), "flag is not true or false", JsonError);
  CHECK_THROWS_WITH_AS(json.as_double("number"), "number is not a number", JsonError);
  CHECK_THROWS_WITH_AS(json.at("b"), "\"b\" is missing", JsonError);
  CHECK_THROWS_AS(Json::parse("[99999999999999999999]").as_array("")[0].as_int("big"), JsonError);
}

TEST_CASE("json: escapes become UTF-8") {
  CHECK(Json::parse(R"("\"\\\/\b\f\n\r\t")").as_string("") == "\"\\/\b\f\n\r\t");
  CHECK(Json::parse(R"("\u0041\u00e9\u20AC\ud83d\ude00")").as_string("") == "A\u00e9\u20ac\U0001F600");
  CHECK(Json::parse("\"\u00e9\u20ac\U0001F600\"").as_string("") == "\u00e9\u20ac\U0001F600");
  CHECK(Json::parse(R"("\u0000")").as_string("") == std::string(1, '\0'));
}

TEST_CASE("json: what RFC 8259 forbids is refused") {
  for (const char* text : {"",
                           " ",
                           "{",
                           "[",
                           "\"",
                           "{\"a\"}",
                           "{\"a\":}",
                           "{a:1}",
                           "{'a':1}",
                           "[1,]",
                           "{\"a\":1,}",
                           "[1 2]",
                           "1 2",
                           "01",
                           "[01]",
                           "-",
                           "+1",
                           ".5",
                           "1.",
                           "1e",
                           "1e+",
                           "NaN",
                           "Infinity",
                           "-Infinity",
                           "tru",
                           "nul",
                           "True",
                           "0x10",
                           "/*c*/1",
                           "[1]]",
                           "{\"a\":1}}",
                           "\"\\x\"",
                           "\"\\u12\"",
                           "\"\\u12g4\"",
                           "\"\\u+123\"",
                           "\"\\ud800\"",
                           "\"\\ud800\\u0041\"",
                           "\"\\udc00\"",
                           "\"\n\"",
                           "\"\t\"",
                           "1e999",
                           "\xEF\xBB\xBF{}"}) {
    CAPTURE(text);
    CHECK(cause_of(text) != "accepted");
  }
  CHECK(cause_of(std::string_view("\"\0\"", 3)) != "accepted");
  CHECK(cause_of("{\"a\":1,\"a\":2}").find("duplicate key \"a\"") != std::string::npos);
}

TEST_CASE("json: malformed UTF-8 is refused") {
  for (const char* bytes : {"\x80", "\xC0\xAF", "\xC1\xBF", "\xE0\x80\xAF", "\xED\xA0\x80", "\xF0\x80\x80\xAF",
                            "\xF4\x90\x80\x80", "\xF5\x80\x80\x80", "\xFF", "\xC3", "\xE2\x82", "\xF0\x9F\x98"}) {
    CHECK(cause_of(std::string("\"") + bytes + "\"").find("malformed UTF-8") != std::string::npos);
    CHECK(cause_of(std::string("\"") + bytes) != "accepted");
  }
}

TEST_CASE("json: depth, size and number of values are bounded") {
  const std::string deep = std::string(64, '[') + std::string(64, ']');
  CHECK(cause_of(deep) == "accepted");
  CHECK(cause_of("[" + deep + "]").find("nested deeper than 64") != std::string::npos);
  CHECK(cause_of(std::string(1'000'000, '[')).find("nested deeper") != std::string::npos);
  CHECK(cause_of("[1,2,3]", {.bytes = 6}).find("more than the allowed 6") != std::string::npos);
  CHECK(cause_of("[1,2,3]", {.values = 3}).find("more than 3 values") != std::string::npos);
  CHECK(cause_of("[1,2,3]", {.bytes = 7, .values = 4, .depth = 1}) == "accepted");
}

TEST_CASE("json: random changes of a valid text never crash the reader") {
  const std::string valid =
      R"({"tensor \u20ac":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]},"n":[null,true,-1.5e-3,{"k":[[[]]]}]})";
  std::mt19937_64 random(1);
  int accepted = 0;
  for (int i = 0; i < sam3::test::fuzz_cases(20'000); i++) {
    // A heap block of exactly this size, so that the address sanitizer sees a read past the end.
    const std::string changed = sam3::test::mutate(valid, random);
    const std::vector<char> text(changed.begin(), changed.end());
    accepted += cause_of({text.data(), text.size()}) == "accepted";
  }
  MESSAGE("accepted after the change: " << accepted);
}
