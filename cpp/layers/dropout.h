// Dropout: y = x * mask, mask in {0, 1/(1-p)}; the identity when not training.
// The mask is a function of (seed, layer, step, row in batch, column): no thread or chunk enters it.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>

#include "core/simd.h"
#include "layers/layer.h"

namespace fastnn::inline FASTNN_ISA::layers {

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

template <class T>
class Dropout final : public Layer<T> {
 public:
  static constexpr std::array<Hyper, 1> kHypers{{
      {.name = "p", .value = 0.5, .lowest = 0, .highest = 1, .doc = "share of the values set to zero"},
  }};
  Dropout(Index width, const HyperValues& h) : Layer<T>(width, width, {.elementwise = true}), p_(h[0]) {}

  Index scratch_cols() const override { return this->out(); }

  void forward(const Slot<T>& s, Range rows, Range cols, const Pass& pass) const noexcept override {
    for (Index r = rows.first; r < rows.first + rows.count; ++r) {
      if (pass.training) {
        dropout_mask_row<T>(p_, pass.seed, static_cast<std::uint64_t>(this->position()), pass.step, r, cols,
                            s.scratch.row(r));
        multiply(s.x.row(r), s.scratch.row(r), s.y.row(r), cols);
      } else if (s.y.data != s.x.data) {
        std::memcpy(s.y.row(r) + cols.first, s.x.row(r) + cols.first,
                    sizeof(T) * static_cast<std::size_t>(padded<T>(cols.count)));
      }
    }
  }
  void backward(const Slot<T>& s, Range rows, Range cols, const Pass& pass) const noexcept override {
    if (!pass.training) return;
    for (Index r = rows.first; r < rows.first + rows.count; ++r)
      multiply(s.dy.row(r), s.scratch.row(r), s.dy.row(r), cols);
  }

 private:
  static void multiply(const T* x, const T* mask, T* y, Range cols) noexcept {
    for (Index c = cols.first; c < cols.first + padded<T>(cols.count); c += Vec<T>::kLanes)
      (Vec<T>::load(x + c) * Vec<T>::load(mask + c)).store(y + c);
  }
  double p_;
};

}  // namespace fastnn::inline FASTNN_ISA::layers
