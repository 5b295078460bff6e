// Sums in double over a fixed number of lanes: element i goes to lane i % 8, and the lanes are added in one fixed
// order. So a sum has the same bits whatever the width of the processor's vectors.
// Written as plain loops that the compiler turns into vectors: reordering is neither needed nor allowed.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <algorithm>
#include <limits>

#include "core/simd.h"
#include "core/types.h"

namespace fastnn::kernels {

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
double sum_of_squares(const T* x, Index n) noexcept {
  LaneSum lanes;
  lanes.add_squares(x, n);
  return lanes.total();
}

// Largest |x| of a matrix; infinity if one is Inf or NaN.
template <class T>
double max_abs(ConstMatrix<T> x) noexcept {
  constexpr Index kLanes = Vec<T>::kLanes;
  const auto zero = Vec<T>::zero();
  auto largest = zero, suspect = zero;  // times 0, Inf and NaN become NaN, whose bits stay in a union
  const Index whole = x.cols / kLanes * kLanes;
  for (Index r = 0; r < x.rows; ++r) {
    for (Index c = 0; c < whole; c += kLanes) {
      const auto v = Vec<T>::loadu(x.row(r) + c);
      largest = max(largest, abs(v));
      suspect = suspect | (v * zero);
    }
    for (Index c = whole; c < x.cols; ++c) {
      const auto v = Vec<T>::set(x.row(r)[c]);
      largest = max(largest, abs(v));
      suspect = suspect | (v * zero);
    }
  }
  if (!all_zero(suspect)) return std::numeric_limits<double>::infinity();
  alignas(kAlign) T lanes[kLanes];
  largest.store(lanes);
  return static_cast<double>(*std::max_element(lanes, lanes + kLanes));
}

// The first row of x with an element below `lowest` or above `highest`, or -1. NaN is neither.
template <class T>
Index first_outside(ConstMatrix<T> x, T lowest, T highest) noexcept {
  constexpr Index kLanes = Vec<T>::kLanes;
  const auto low = Vec<T>::set(lowest), high = Vec<T>::set(highest), one = Vec<T>::set(1);
  const Index whole = x.cols / kLanes * kLanes;
  for (Index r = 0; r < x.rows; ++r) {
    const T* row = x.row(r);
    auto outside = Vec<T>::zero();
    for (Index c = 0; c < whole; c += kLanes) {
      const auto v = Vec<T>::loadu(row + c);
      outside = outside | less(v, low) | less(high, v);
    }
    bool any = whole > 0 && !all_zero(select(outside, one, Vec<T>::zero()));
    for (Index c = whole; c < x.cols; ++c) any = any || row[c] < lowest || row[c] > highest;
    if (any) return r;
  }
  return -1;
}

}  // namespace fastnn::kernels
