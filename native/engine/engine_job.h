#pragma once
#include "engine/engine.h"

namespace sam3 {

// One call in the engine's queue. It either runs or fails, once.
struct Engine::Job {
  explicit Job(Token t) : token(std::move(t)) {}
  virtual ~Job() = default;
  virtual void run(Engine& engine) = 0;
  virtual void fail(const Error& error) = 0;
  bool cancelled() const { return token && token->cancelled(); }
  Token token;
};

}  // namespace sam3
