#pragma once
#include <dlfcn.h>

namespace sam3::kernels {

// A function of an open library; false where it has none of the name.
template <class Function>
bool find_symbol(void* library, const char* name, Function& function) {
  function = reinterpret_cast<Function>(dlsym(library, name));
  return function != nullptr;
}

}  // namespace sam3::kernels
