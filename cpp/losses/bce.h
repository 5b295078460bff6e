// Binary cross-entropy on probabilities, with torch's clamps: logarithms not below -100, and p (1 - p) in the gradient
// not below 1e-12. The network ends in a sigmoid; bce_with_logits.h is the better-behaved pair in one.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "core/simd_math.h"
#include "losses/elementwise.h"

namespace fastnn::losses {

template <class T>
struct Bce : Elementwise<T, Bce<T>> {
  static constexpr Task kTask = Task::kBinary;
  static constexpr Interval kTargets{.lowest = 0, .highest = 1}, kOutputs = kTargets;
  static constexpr const char* kOutputsRemedy =
      "a Sigmoid is missing at the end of the network (BCEWithLogitsLoss takes outputs without one)";

  Vec<T> value(Vec<T> p, Vec<T> t) const { return (t - Vec<T>::set(1)) * clamped(log1p(-p)) - t * clamped(log(p)); }
  Vec<T> gradient(Vec<T> p, Vec<T> t) const { return (p - t) / max(p * (Vec<T>::set(1) - p), Vec<T>::set(T(1e-12))); }
  double right(const T* out, const T* target, std::int32_t, Index k) const {
    return right_side(out, target, k, T(0.5));
  }

 private:
  // A comparison, so that NaN stays NaN.
  static Vec<T> clamped(Vec<T> logarithm) {
    const auto lowest = Vec<T>::set(-100);
    return select(less(logarithm, lowest), lowest, logarithm);
  }
};

}  // namespace fastnn::losses
