#include "standin/standin.h"

// The engine that the Node tests load: with the stand-in installed before anything asks LibTorch for a device.
namespace {
[[maybe_unused]] const bool installed = (sam3::standin::install(), true);
}  // namespace
