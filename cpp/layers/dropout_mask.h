// The mask of a dropout layer: a function of (seed, layer, step, draw, row in the batch, column), independent of
// threads and chunks. The draw counts the training passes since the last update. A pass that updates always uses draw
// 0, so that a step does not depend on earlier passes without an update.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <type_traits>

#include "core/rng.h"
#include "layers/layer.h"

namespace fastnn::layers {

inline constexpr Index kMaskLanes = 8;  // number of columns for which one block of Philox gives the mask
template <int kBlocks>
using MaskLanes = std::array<std::uint32_t, kBlocks * kMaskLanes>;

// The halves of words, lower ones first, as lanes.
template <std::size_t kWords>
std::array<std::uint32_t, 2 * kWords> halves(std::array<std::uint64_t, kWords> words) noexcept {
  if constexpr (std::endian::native == std::endian::big)
    for (auto& word : words) word = std::rotl(word, 32);
  return std::bit_cast<std::array<std::uint32_t, 2 * kWords>>(words);
}

// Lanes of blocks whose counters stand side by side, counter[word][block]; they are overwritten.
template <int kBlocks>
MaskLanes<kBlocks> lanes_abreast(std::uint64_t (&counter)[4][kBlocks], std::uint64_t seed,
                                 std::uint64_t layer) noexcept {
  philox_blocks(counter, seed, layer);
  std::array<std::uint64_t, 4 * kBlocks> words;
  for (std::size_t i = 0; i < kBlocks; ++i)
    for (std::size_t w = 0; w < 4; ++w) words[4 * i + w] = counter[w][i];
  return halves(words);
}

// Lanes of kBlocks blocks from `block` on, in the order of their columns.
template <int kBlocks>
MaskLanes<kBlocks> mask_lanes(std::uint64_t block, std::uint64_t row, std::uint64_t step, std::uint64_t draw,
                              std::uint64_t seed, std::uint64_t layer) noexcept {
  if constexpr (kBlocks == 1) {
    return halves(philox({block, row, step, draw}, seed, layer));
  } else {
    std::uint64_t abreast[4][kBlocks];
    for (std::size_t i = 0; i < kBlocks; ++i) {
      abreast[0][i] = block + i;
      abreast[1][i] = row;
      abreast[2][i] = step;
      abreast[3][i] = draw;
    }
    return lanes_abreast(abreast, seed, layer);
  }
}

// mask[cols]: lane j of the row's Philox words is kept when it is at least round(p 2^32). kBlocks: how many blocks at a
// time, as long as so many are left; it enters no bit. cols.first is a multiple of 8.
template <class T, int kBlocks = 1>
void dropout_mask_row(double p, std::uint64_t seed, std::uint64_t layer, std::uint64_t step, std::uint64_t draw,
                      Index row, Range cols, T* mask) noexcept {
  const double threshold = std::round(p * 4294967296.0);
  const auto lowest = static_cast<std::uint32_t>(std::min(threshold, 4294967295.0));
  using Bits = std::conditional_t<sizeof(T) == 4, std::uint32_t, std::uint64_t>;
  const auto kept = std::bit_cast<Bits>(threshold < 4294967296.0 ? static_cast<T>(1 / (1 - p)) : T(0));
  const Index end = cols.first + cols.count;
  Index first = cols.first;
  // Computed without a branch, which would often be mispredicted.
  const auto keep = [&]<int kCount>(std::integral_constant<int, kCount>, T* to) {
    const auto block = static_cast<std::uint64_t>(first / kMaskLanes + 1);
    const auto lanes = mask_lanes<kCount>(block, static_cast<std::uint64_t>(row), step, draw, seed, layer);
    std::array<Bits, lanes.size()> bits;
    for (std::size_t j = 0; j < lanes.size(); ++j) bits[j] = kept & -static_cast<Bits>(lanes[j] >= lowest);
    std::memcpy(to, bits.data(), sizeof(bits));
  };
  constexpr std::integral_constant<int, kBlocks> many;
  constexpr std::integral_constant<int, 1> one;
  for (; end - first >= kBlocks * kMaskLanes; first += kBlocks * kMaskLanes) keep(many, mask + first);
  for (; end - first >= kMaskLanes; first += kMaskLanes) keep(one, mask + first);
  if (first == end) return;
  T last[kMaskLanes];
  keep(one, last);
  std::copy(last, last + (end - first), mask + first);
}

}  // namespace fastnn::layers
