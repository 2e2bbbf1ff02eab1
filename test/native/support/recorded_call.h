#pragma once
#include <string>
#include <vector>

namespace sam3::test {

// What follows `name=` (or `name `) in a recorded call, up to the comma or bracket that ends it; empty where it is
// absent or None.
std::string argument(const std::string& call, const std::string& name);

// The numbers of a list of numbers or of lists, as Python writes them.
std::vector<float> numbers(const std::string& text);

}  // namespace sam3::test
