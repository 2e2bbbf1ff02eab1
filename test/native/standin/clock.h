#pragma once
#include <cstdint>
#include <initializer_list>

#include <ATen/core/Tensor.h>

// The time that the device's work would take. It is asked for one thing after another and does each when the one before
// has ended, while the host goes on: so the end of all that it was asked for is known at once, and who waits sleeps
// until then. Off, all work takes no time.
namespace sam3::standin {

// A card by two numbers, as the model of docs/performance.md has them.
struct Card {
  double bytes_per_second = 3.0e12, flops = 670e12;
  double link_bytes_per_second = 25e9;  // between host and device
  double least = 2.4e-6;                // seconds that a kernel takes at least
  double scale = 0;                     // seconds of the host for each of the device; 0: off
};
void set_card(const Card& card);

// An operator that computes this much and reads or writes this much.
void ask(double flops, double bytes);
void ask_for_copy(double bytes);  // over the link

// As sam3::now_ms() tells it: when all that was asked for so far has ended. `busy`: milliseconds of work since
// set_card().
double asked_until();
double asked_busy();
void wait_until(double ms);

// Bytes of what a kernel reads or writes of a tensor: one that is expanded is there once.
double bytes_of(const at::Tensor& tensor);

}  // namespace sam3::standin
