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
    const std::uint32_t* const words = key + pos;  // read once: for the compiler, `out` may be `pos`
    for (Index i = 0; i < some; ++i) out[i] = tempered(words[i]);
    pos += static_cast<int>(some), out += some, count -= some;
  }
}

void MersenneTwister::draw_units(double* out, Index count) noexcept {
  constexpr Index kAtOnce = 256;
  std::uint32_t words[2 * kAtOnce];
  for (Index first = 0; first < count; first += kAtOnce) {
    const Index some = std::min(kAtOnce, count - first);
    draw(words, 2 * some);
    for (Index i = 0; i < some; ++i)
      out[first + i] = ((words[2 * i] >> 5) * 0x1p26 + (words[2 * i + 1] >> 6)) * 0x1p-53;
  }
}

Numbers MersenneTwister::numbers(void* state) noexcept {
  return {
      [](void* it, std::uint32_t* out, Index count) noexcept { static_cast<MersenneTwister*>(it)->draw(out, count); },
      [](void* it, double* out, Index count) noexcept { static_cast<MersenneTwister*>(it)->draw_units(out, count); },
      state};
}

namespace {

// Keeps those of `count` numbers that are taken as places of the rows from `row` downwards, in their order; returns how
// many. Whether a number is taken is as good as random, hence without a branch.
Index take_places(std::uint32_t* places, Index count, std::uint32_t row) noexcept {
  constexpr Index kTogether = 8;
  Index taken = 0, k = 0;
  const auto take = [&](Index from, std::uint32_t highest) {
    const std::uint32_t place = places[from];
    places[taken] = place;
    taken += place <= highest;
  };
  for (; k + kTogether <= count; k += kTogether) {
    const std::uint32_t highest = row - static_cast<std::uint32_t>(taken);
    // Only a number that is less than kTogether below the highest one may depend on how many before it are taken.
    bool close = false;
    for (Index j = 0; j < kTogether; ++j) close |= highest - places[k + j] < kTogether;
    if (close)
      for (Index j = 0; j < kTogether; ++j) take(k + j, row - static_cast<std::uint32_t>(taken));
    else
      for (Index j = 0; j < kTogether; ++j) take(k + j, highest);
  }
  for (; k < count; ++k) take(k, row - static_cast<std::uint32_t>(taken));
  return taken;
}

}  // namespace

void shuffle(std::uint32_t* order, Index n, Numbers numbers) noexcept {
  constexpr Index kAtOnce = 256;
  std::uint32_t drawn[kAtOnce], places[kAtOnce];
  Index at = 0, end = 0;  // the numbers drawn[at, end) have not been used
  for (Index i = n - 1; i > 0;) {
    if (at == end) {
      at = 0, end = std::min(kAtOnce, i);  // each row needs a number at least, so none is drawn too much
      numbers.draw(numbers.state, drawn, end);
    }
    // The rows down to bits / 2 use the same bits.
    const std::uint32_t bits = ~std::uint32_t{0} >> std::countl_zero(static_cast<std::uint32_t>(i));
    const Index count = std::min(end - at, i - static_cast<Index>(bits >> 1));
    for (Index k = 0; k < count; ++k) places[k] = drawn[at + k] & bits;
    at += count;
    const Index taken = take_places(places, count, static_cast<std::uint32_t>(i));
    for (Index k = 0; k < taken; ++k) std::swap(order[i - k], order[places[k]]);
    i -= taken;
  }
}

}  // namespace fastnn
