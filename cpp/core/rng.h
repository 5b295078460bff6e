// Counter-based random numbers: Philox 4x64-10, bit for bit those of numpy.random.Philox.
// A random number is a pure function of (key, counter), so no result depends on which thread computes it.
// Source: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <utility>

#include "core/types.h"

namespace fastnn {

using PhiloxBlock = std::array<std::uint64_t, 4>;

inline constexpr std::uint64_t kFactor0 = 0xD2E7470EE14C6C93ULL, kFactor1 = 0xCA5A826395121157ULL;
inline constexpr std::uint64_t kWeyl0 = 0x9E3779B97F4A7C15ULL, kWeyl1 = 0xBB67AE8584CAA73BULL;  // steps of the keys

// The first block of numpy.random.Philox(key=key, counter=counter - 1): NumPy increments the counter before it draws.
inline PhiloxBlock philox(PhiloxBlock counter, std::uint64_t key0, std::uint64_t key1) {
  for (int round = 0; round < 10; ++round) {
    if (round > 0) {
      key0 += kWeyl0;
      key1 += kWeyl1;
    }
    const auto product0 = static_cast<unsigned __int128>(kFactor0) * counter[0];
    const auto product1 = static_cast<unsigned __int128>(kFactor1) * counter[2];
    counter = {static_cast<std::uint64_t>(product1 >> 64) ^ counter[1] ^ key0, static_cast<std::uint64_t>(product1),
               static_cast<std::uint64_t>(product0 >> 64) ^ counter[3] ^ key1, static_cast<std::uint64_t>(product0)};
  }
  return counter;
}

// The upper 64 bits of a b, computed from products of 32 bits, which vector instructions offer.
inline std::uint64_t upper_half(std::uint64_t a, std::uint64_t b) {
  constexpr std::uint64_t kLow = 0xFFFFFFFFULL;
  const std::uint64_t low = (a & kLow) * (b & kLow);
  const std::uint64_t upper = (a >> 32) * (b & kLow) + (low >> 32);
  const std::uint64_t lower = (a & kLow) * (b >> 32) + (upper & kLow);
  return (a >> 32) * (b >> 32) + (upper >> 32) + (lower >> 32);
}

// philox() of kBlocks counters at once, counter[word][block]. The compiler vectorises over the blocks, which is faster
// where vectors have 64 bytes.
template <int kBlocks>
void philox_blocks(std::uint64_t (&counter)[4][kBlocks], std::uint64_t key0, std::uint64_t key1) {
  for (int round = 0; round < 10; ++round) {
    if (round > 0) {
      key0 += kWeyl0;
      key1 += kWeyl1;
    }
    for (int i = 0; i < kBlocks; ++i) {
      const std::uint64_t a = counter[0][i], b = counter[2][i];
      counter[0][i] = upper_half(b, kFactor1) ^ counter[1][i] ^ key0;
      counter[1][i] = b * kFactor1;
      counter[2][i] = upper_half(a, kFactor0) ^ counter[3][i] ^ key1;
      counter[3][i] = a * kFactor0;
    }
  }
}

// The second word of the key says what the numbers are for, so that different uses never share random numbers. Layers
// add their position in the network, for dropout (kDropout + position) and for their initial values (kInit + position).
enum class Stream : std::uint64_t { kDropout = 0, kInit = 1ULL << 32, kShuffle = 1ULL << 33 };

inline std::uint64_t stream(Stream base, Index layer = 0) {
  return static_cast<std::uint64_t>(base) + static_cast<std::uint64_t>(layer);
}

// Uniform in [0, 1) with 53 bits, as numpy.random.Generator.random makes it.
inline double to_unit(std::uint64_t bits) { return static_cast<double>(bits >> 11) * 0x1.0p-53; }

// The 64-bit numbers of one stream in order, from the counters {1, row, step, 0}, {2, row, step, 0}, ...
class PhiloxStream {
 public:
  PhiloxStream(std::uint64_t seed, std::uint64_t stream, std::uint64_t row = 0, std::uint64_t step = 0)
      : key0_(seed), key1_(stream), counter_{0, row, step, 0} {}
  std::uint64_t next() {
    if (used_ == 4) {
      ++counter_[0];
      block_ = philox(counter_, key0_, key1_);
      used_ = 0;
    }
    return block_[static_cast<std::size_t>(used_++)];
  }

 private:
  std::uint64_t key0_, key1_;
  PhiloxBlock counter_;
  PhiloxBlock block_{};
  int used_ = 4;
};

// A permutation of 0 .. n - 1 for one epoch: Fisher-Yates from the end, where the index is the upper half of a random
// number times (i + 1). Millions of rows take a while, so `stopped` is called every few milliseconds; the function
// returns false as soon as `stopped` returns true.
template <class Stopped>
bool permute(std::int64_t* order, Index n, std::uint64_t seed, std::uint64_t epoch, Stopped stopped) {
  constexpr Index kPrefetchDistance = 32;              // random places are drawn and prefetched so many steps ahead
  constexpr Index kRowsBetweenPolls = Index{1} << 18;  // takes some milliseconds
  for (Index i = 0; i < n; ++i) order[i] = i;
  PhiloxStream words(seed, stream(Stream::kShuffle), 0, epoch);
  Index place[kPrefetchDistance], since = 0;
  for (Index i = n - 1; i > 0;) {
    const Index count = std::min(kPrefetchDistance, i);
    for (Index k = 0; k < count; ++k) {
      const auto choices = static_cast<std::uint64_t>(i - k + 1);
      place[k] =
          static_cast<Index>(static_cast<std::uint64_t>(static_cast<unsigned __int128>(words.next()) * choices >> 64));
      __builtin_prefetch(order + place[k], 1);
    }
    for (Index k = 0; k < count; ++k) std::swap(order[i - k], order[place[k]]);
    i -= count;
    if ((since += count) < kRowsBetweenPolls) continue;
    since = 0;
    if (stopped()) return false;
  }
  return true;
}

}  // namespace fastnn
