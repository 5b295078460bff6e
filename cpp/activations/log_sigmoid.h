// log_sigmoid(z) = log(1 / (1 + exp(-z))) = min(z, 0) - log(1 + exp(-|z|)), with f' = 1 / (1 + exp(z)). exp cannot
// overflow, and both tails keep their relative accuracy.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "activations/activation.h"
#include "core/simd_math.h"

namespace fastnn::activations {

template <class T>
struct LogSigmoid {
  static constexpr Needs kNeeds = Needs::kInput;

  Vec<T> f(Vec<T> z) const { return min(z, Vec<T>::zero()) - log1p(exp(-abs(z))); }
  Vec<T> df(Vec<T> z) const { return sigmoid(-z); }
};

}  // namespace fastnn::activations
