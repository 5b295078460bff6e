// Which values a dropout layer keeps: a function of (seed, layer, step, row in batch, column); no thread or chunk
// enters it.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <algorithm>
#include <cmath>

#include "core/rng.h"
#include "layers/layer.h"

namespace fastnn::layers {

// mask[0..cols): lane j of the row's Philox words is kept when it is at least round(p 2^32).
template <class T>
void dropout_mask_row(double p, std::uint64_t seed, std::uint64_t layer, std::uint64_t step, Index row, Range cols,
                      T* mask) noexcept {
  constexpr Index kTurn = 16;  // columns: two blocks of Philox, whose chains of multiplications overlap
  const double threshold = std::round(p * 4294967296.0);
  const auto lowest = static_cast<std::uint32_t>(std::min(threshold, 4294967295.0));
  const T kept = threshold < 4294967296.0 ? static_cast<T>(1 / (1 - p)) : T(0);
  const Index end = cols.first + cols.count;
  for (Index first = cols.first / kTurn * kTurn; first < end; first += kTurn) {
    std::uint32_t lanes[kTurn];
    T values[kTurn];
    for (Index half = 0; half < 2; ++half) {
      const auto block = static_cast<std::uint64_t>(first / 8 + half + 1);
      const Block words = philox({block, static_cast<std::uint64_t>(row), step, 0}, seed, layer);
      for (Index j = 0; j < 8; ++j)
        lanes[8 * half + j] = static_cast<std::uint32_t>(words[static_cast<std::size_t>(j / 2)] >> (32 * (j % 2)));
    }
    for (Index j = 0; j < kTurn; ++j) values[j] = lanes[j] >= lowest ? kept : T(0);
    const Index from = std::max<Index>(cols.first - first, 0), to = std::min(kTurn, end - first);
    std::copy(values + from, values + to, mask + first + from);
  }
}

}  // namespace fastnn::layers
