// SPDX-License-Identifier: BSD-3-Clause
#include "core/numpy_random.h"

#include <algorithm>
#include <bit>
#include <utility>

namespace fastnn {

namespace {

constexpr int kTwisterWords = MersenneTwister::kWords, kTwisterShift = 397;

std::uint32_t tempered(std::uint32_t y) {
  y ^= y >> 11;
  y ^= (y << 7) & 0x9d2c5680U;
  y ^= (y << 15) & 0xefc60000U;
  return y ^ (y >> 18);
}

std::uint32_t twisted(std::uint32_t high, std::uint32_t low, std::uint32_t other) {
  const std::uint32_t y = (high & 0x80000000U) | (low & 0x7fffffffU);
  return other ^ (y >> 1) ^ ((~(y & 1U) + 1U) & 0x9908b0dfU);
}

// In the order of the words, because each new one depends on one of those before it. Two loops without a condition,
// which the compiler vectorises: a word is used again kTwisterWords - kTwisterShift words later, which is more than a vector.
void renew(std::uint32_t* key) {
  for (int i = 0; i < kTwisterWords - kTwisterShift; ++i) key[i] = twisted(key[i], key[i + 1], key[i + kTwisterShift]);
  for (int i = kTwisterWords - kTwisterShift; i < kTwisterWords - 1; ++i)
    key[i] = twisted(key[i], key[i + 1], key[i + kTwisterShift - kTwisterWords]);
  key[kTwisterWords - 1] = twisted(key[kTwisterWords - 1], key[0], key[kTwisterShift - 1]);
}

}  // namespace

void MersenneTwister::draw(std::uint32_t* out, Index count) noexcept {
  while (count > 0) {
    if (pos == kWords) renew(key), pos = 0;
    const Index some = std::min<Index>(count, kWords - pos);
    for (Index i = 0; i < some; ++i) out[i] = tempered(key[pos + i]);
    pos += static_cast<int>(some), out += some, count -= some;
  }
}

void shuffle(std::int64_t* order, Index n, Numbers numbers) noexcept {
  constexpr Index kAtOnce = 256;
  std::uint32_t places[kAtOnce];
  for (Index i = n - 1; i > 0;) {
    const std::uint32_t bits = ~std::uint32_t{0} >> std::countl_zero(static_cast<std::uint32_t>(i));
    // Each row needs a number at least, so none is drawn too much. The rows down to bits / 2 use the same bits.
    const Index count = std::min(kAtOnce, i - static_cast<Index>(bits >> 1));
    numbers.draw(numbers.state, places, count);
    for (Index k = 0; k < count; ++k) places[k] &= bits;
    // Whether a number is taken is as good as random, hence without a branch.
    auto row = static_cast<std::uint32_t>(i);
    Index taken = 0;
    for (Index k = 0; k < count; ++k) {
      const std::uint32_t place = places[k];
      const bool takes = place <= row;
      places[taken] = place;
      taken += takes, row -= takes;
    }
    for (Index k = 0; k < taken; ++k) std::swap(order[i - k], order[places[k]]);
    i -= taken;
  }
}

}  // namespace fastnn
