// What numpy.random.RandomState draws, bit for bit: the generator MT19937 (Matsumoto and Nishimura, "Mersenne Twister",
// ACM TOMACS 8, 1998) on a state in the layout of NumPy's, and RandomState.shuffle. Many numbers are made at a time,
// which takes a fraction of the time of as many calls for one.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <cstdint>

#include "core/types.h"

namespace fastnn {

// A generator of numbers.
struct Numbers {
  void (*draw)(void* state, std::uint32_t* out, Index count) noexcept;  // of 32 bits
  void (*draw_units)(void* state, double* out, Index count) noexcept;   // in [0, 1)
  void* state;
};

struct MersenneTwister {
  static constexpr int kWords = 624;
  std::uint32_t key[kWords];
  int pos;  // of the next number; kWords: the words have to be renewed first

  void draw(std::uint32_t* out, Index count) noexcept;
  // Of 53 bits, the upper 27 of one word and the upper 26 of the next one (genrand_res53 of the authors).
  void draw_units(double* out, Index count) noexcept;
  // As a generator; `state` is a MersenneTwister.
  static Numbers numbers(void* state) noexcept;
};

// Shuffles n <= 2^32 row numbers: Fisher-Yates from the end, where the place of row i is the first of the numbers drawn
// that is at most i, of which only the bits of i count.
void shuffle(std::uint32_t* order, Index n, Numbers numbers) noexcept;

}  // namespace fastnn
