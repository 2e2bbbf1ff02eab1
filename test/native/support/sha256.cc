#include "support/sha256.h"

#include <array>
#include <bit>
#include <cmath>

namespace sam3::test {
namespace {

// The first 32 bits of the fractions of roots of the first primes, as FIPS 180-4 defines its constants.
template <size_t N>
std::array<uint32_t, N> fractions(long double (*root)(long double)) {
  std::array<uint32_t, N> out{};
  size_t found = 0;
  for (uint32_t n = 2; found < N; n++) {
    bool prime = true;
    for (uint32_t d = 2; d * d <= n; d++) prime = prime && n % d != 0;
    if (!prime) continue;
    const long double value = root(n);
    out[found++] = static_cast<uint32_t>((value - std::floor(value)) * 4294967296.0L);
  }
  return out;
}

}  // namespace

std::string sha256(const std::vector<uint8_t>& bytes) {
  static const auto constants = fractions<64>([](long double n) { return std::cbrt(n); });
  auto state = fractions<8>([](long double n) { return std::sqrt(n); });
  std::vector<uint8_t> padded = bytes;
  padded.push_back(0x80);
  while (padded.size() % 64 != 56) padded.push_back(0);
  for (int shift = 56; shift >= 0; shift -= 8)
    padded.push_back(static_cast<uint8_t>(static_cast<uint64_t>(bytes.size()) * 8 >> shift));
  for (size_t block = 0; block < padded.size(); block += 64) {
    std::array<uint32_t, 64> w{};
    for (size_t i = 0; i < 64; i++)
      if (i < 16)
        for (size_t b = 0; b < 4; b++) w[i] = w[i] << 8 | padded[block + 4 * i + b];
      else
        w[i] = w[i - 16] + w[i - 7] + (std::rotr(w[i - 15], 7) ^ std::rotr(w[i - 15], 18) ^ w[i - 15] >> 3) +
               (std::rotr(w[i - 2], 17) ^ std::rotr(w[i - 2], 19) ^ w[i - 2] >> 10);
    auto [a, b, c, d, e, f, g, h] = state;
    for (size_t i = 0; i < 64; i++) {
      const uint32_t one =
          h + (std::rotr(e, 6) ^ std::rotr(e, 11) ^ std::rotr(e, 25)) + ((e & f) ^ (~e & g)) + constants[i] + w[i];
      const uint32_t two = (std::rotr(a, 2) ^ std::rotr(a, 13) ^ std::rotr(a, 22)) + ((a & b) ^ (a & c) ^ (b & c));
      h = g, g = f, f = e, e = d + one, d = c, c = b, b = a, a = one + two;
    }
    const std::array<uint32_t, 8> after{a, b, c, d, e, f, g, h};
    for (size_t i = 0; i < 8; i++) state[i] += after[i];
  }
  std::string out;
  for (const uint32_t word : state)
    for (int shift = 28; shift >= 0; shift -= 4) out += "0123456789abcdef"[word >> shift & 15];
  return out;
}

}  // namespace sam3::test
