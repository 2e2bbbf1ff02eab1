#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "masks/mask_bits.h"
#include "masks/mask_runs.h"
#include "video/concepts/concept_options.h"
#include "weights/json.h"
#include "weights/safetensors.h"

namespace sam3::test {

// 7 -> "007", as the goldens count.
std::string numbered(int64_t i);

std::vector<int64_t> ints(const Json& array);
std::vector<float> floats(const Json& array);
float real(const Json& number);
bool is_text(const Json& value);                          // a string, where null or something else may stand
std::string text_of(const std::vector<int64_t>& values);  // for messages
// Masks from strings of 0 and 1, or from tensors of packed bits [n, ceil(height * width / 8)].
MaskBits bits_from_strings(const Json& strings, int64_t height, int64_t width);
MaskBits bits_from_packed(const at::Tensor& packed, int64_t height, int64_t width);
MaskBits bits_of(const MaskRuns& mask, int64_t height, int64_t width);
bool same_mask(const MaskBits& a, int64_t i, const MaskBits& b, int64_t j);

// Changes the options that an object names; throws on a name that is no option and none of `others`.
void apply(ConceptOptions& options, const Json& overrides, const std::set<std::string>& others = {});

}  // namespace sam3::test
