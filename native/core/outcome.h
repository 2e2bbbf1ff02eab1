#pragma once
#include <functional>
#include <optional>
#include <utility>
#include <variant>

#include "core/error.h"

namespace sam3 {

// Either a value or the error in its place.
template <class T>
using Outcome = std::variant<T, Error>;

template <class T>
using Callback = std::function<void(Outcome<T>)>;

// Hands what `body` returns or throws to `done`.
template <class T, class Body>
void settle(const Callback<T>& done, Body&& body) {
  std::optional<Outcome<T>> outcome;
  try {
    outcome.emplace(std::in_place_index<0>, translate(ERR_INTERNAL, "The engine", body));
  } catch (const Error& e) {
    outcome.emplace(std::in_place_index<1>, e);
  }
  done(std::move(*outcome));
}

}  // namespace sam3
