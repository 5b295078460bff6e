// softplus(z) = log(1 + exp(beta z)) / beta, and z itself where beta z > threshold, as in torch. It is computed as
// (max(u, 0) + log1p(exp(-|u|))) / beta with u = beta z: exp cannot overflow, and the left tail keeps its relative
// accuracy.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <array>

#include "activations/activation.h"
#include "core/simd_math.h"

namespace fastnn::activations {

struct SoftplusParams {
  double beta = 1, threshold = 20;
};

template <class T>
struct Softplus {
  using Params = SoftplusParams;
  static constexpr Needs kNeeds = Needs::kInput;
  static constexpr std::array kFields{
      field<&Params::beta>("beta", above(0), "sharpness of the bend at 0", tries(0.7)),
      field<&Params::threshold>("threshold", "where beta z is larger, the function is z", tries(1.37))};
  explicit Softplus(const Params& p)
      : beta(Vec<T>::set(static_cast<T>(p.beta))),
        inverse(Vec<T>::set(static_cast<T>(1 / p.beta))),
        threshold(Vec<T>::set(static_cast<T>(p.threshold))) {}

  Vec<T> f(Vec<T> z) const {
    const auto u = beta * z;
    const auto soft = (max(u, Vec<T>::zero()) + log1p(exp(-abs(u)))) * inverse;
    return select(less(threshold, u), z, soft);
  }
  Vec<T> df(Vec<T> z) const {
    const auto u = beta * z;
    return select(less(threshold, u), Vec<T>::set(1), sigmoid(u));
  }

  Vec<T> beta, inverse, threshold;
};

}  // namespace fastnn::activations
