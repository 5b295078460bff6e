// Binary cross-entropy of logits: l = max(z, 0) - z t + log(1 + exp(-|z|)), finite for all logits. predict applies
// the logistic function; an output is right if (z > 0) == (t > 1/2).
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "core/simd_math.h"
#include "losses/elementwise.h"

namespace fastnn::losses {

template <class T>
struct BceWithLogits : Elementwise<T, BceWithLogits<T>> {
  static constexpr Task kTask = Task::kBinary;
  static constexpr Interval kTargets{.lowest = 0, .highest = 1};

  Vec<T> value(Vec<T> z, Vec<T> t) const { return (max(z, Vec<T>::zero()) - z * t) + log1p(exp(-abs(z))); }
  Vec<T> gradient(Vec<T> z, Vec<T> t) const { return sigmoid(z) - t; }

  void link(T* out, Index k) const {
    for (Index c = 0; c < k; c += Vec<T>::kLanes) sigmoid(Vec<T>::load(out + c)).store(out + c);
    std::fill(out + k, out + padded<T>(k), T(0));
  }
  double right(const T* out, const T* target, std::int32_t, Index k) const { return right_side(out, target, k, T(0)); }
};

}  // namespace fastnn::losses
