// Sums in double over a fixed number of lanes: element i goes to lane i % 8, and the lanes are added in one fixed
// order. So a sum has the same bits whatever the width of the processor's vectors.
// Written as plain loops that the compiler turns into vectors: reordering is neither needed nor allowed.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <bit>
#include <type_traits>

#include "core/types.h"

namespace fastnn::inline FASTNN_ISA::kernels {

class LaneSum {
 public:
  static constexpr Index kLanes = 8;

  // n elements; the first one goes to lane 0.
  template <class T>
  void add(const T* x, Index n) noexcept {
    Index i = 0;
    for (; i + kLanes <= n; i += kLanes)
      for (Index j = 0; j < kLanes; ++j) lane_[j] += static_cast<double>(x[i + j]);
    for (Index j = 0; i + j < n; ++j) lane_[j] += static_cast<double>(x[i + j]);
  }
  template <class T>
  void add_squares(const T* x, Index n) noexcept {
    Index i = 0;
    for (; i + kLanes <= n; i += kLanes)
      for (Index j = 0; j < kLanes; ++j) {
        const auto v = static_cast<double>(x[i + j]);
        lane_[j] += v * v;
      }
    for (Index j = 0; i + j < n; ++j) {
      const auto v = static_cast<double>(x[i + j]);
      lane_[j] += v * v;
    }
  }
  double total() const noexcept {
    return ((lane_[0] + lane_[4]) + (lane_[2] + lane_[6])) + ((lane_[1] + lane_[5]) + (lane_[3] + lane_[7]));
  }

 private:
  double lane_[kLanes] = {};
};

template <class T>
double sum(const T* x, Index n) noexcept {
  LaneSum lanes;
  lanes.add(x, n);
  return lanes.total();
}

template <class T>
double sum_of_squares(const T* x, Index n) noexcept {
  LaneSum lanes;
  lanes.add_squares(x, n);
  return lanes.total();
}

// Largest |x| of a matrix; Inf and NaN count as larger than every number. Bits of floats without their sign are in the
// order of their values, and integer maxima vectorise whatever the values are.
template <class T>
double max_abs(ConstMatrix<T> x) noexcept {
  using Bits = std::conditional_t<sizeof(T) == 4, std::uint32_t, std::uint64_t>;
  constexpr Bits kUnsigned = static_cast<Bits>(~Bits{0}) >> 1;
  Bits largest = 0;
  for (Index r = 0; r < x.rows; ++r)
    for (Index c = 0; c < x.cols; ++c) {
      const Bits bits = std::bit_cast<Bits>(x.row(r)[c]) & kUnsigned;
      largest = bits > largest ? bits : largest;
    }
  return static_cast<double>(std::bit_cast<T>(largest));
}

}  // namespace fastnn::inline FASTNN_ISA::kernels
