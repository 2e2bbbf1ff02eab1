#pragma once
#include <mutex>
#include <string>

#include "standin/standin.h"

namespace sam3::standin {

// Held by everything that counts or hands out memory: the engine's thread and a test's share the device.
std::recursive_mutex& mutex();

// The counts of the method of the program that this thread is in. Under mutex().
Counts& here();
void count_wait(const std::string& why);

// From LibTorch's records of scripted methods: call once.
void follow_methods();

bool is_loaded();

}  // namespace sam3::standin
