// Binary cross-entropy of probabilities, clamped as in torch: logarithms are at least -100, and p (1 - p) in the
// gradient is at least 1e-12. The network has to end in a sigmoid; bce_with_logits.h is numerically more stable than
// the two.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "core/simd_math.h"
#include "losses/elementwise.h"

namespace fastnn::losses {

template <class T>
struct Bce : Elementwise<T, Bce<T>> {
  static constexpr Task kTask = Task::kBinary;
  static constexpr Interval kTargets{.lowest = 0, .highest = 1}, kOutputs = kTargets;
  static constexpr double kBoundary = 0.5;
  static constexpr const char* kOutputsRemedy =
      "a Sigmoid is missing at the end of the network (BCEWithLogitsLoss takes outputs without one)";

  Vec<T> value(Vec<T> p, Vec<T> t) const { return (t - Vec<T>::set(1)) * clamped(log1p(-p)) - t * clamped(log(p)); }
  Vec<T> gradient(Vec<T> p, Vec<T> t) const { return (p - t) / max(p * (Vec<T>::set(1) - p), Vec<T>::set(T(1e-12))); }
  double right(const T* out, const T* target, std::int32_t, Index k) const {
    return right_side(out, target, k, T(kBoundary));
  }

 private:
  // Written as a comparison, so that NaN stays NaN.
  static Vec<T> clamped(Vec<T> logarithm) {
    const auto lowest = Vec<T>::set(-100);
    return select(less(logarithm, lowest), lowest, logarithm);
  }
};

}  // namespace fastnn::losses
