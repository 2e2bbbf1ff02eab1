#pragma once
#include <napi.h>

namespace binding {

// inspectWeights(weights: string, names: string): what a weight file holds and what of it a program would use, by
// names, shapes and dtypes alone. Throws what loading throws for a file that cannot be read at all.
Napi::Value inspect_weights(const Napi::CallbackInfo& info);

}  // namespace binding
