// sigmoid(z) = 1 / (1 + exp(-z)), with f' = a (1 - a) from the output.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "activations/activation.h"
#include "core/simd_math.h"

namespace fastnn::activations {

template <class T>
struct Sigmoid {
  static constexpr Needs kNeeds = Needs::kOutput;

  Vec<T> f(Vec<T> z) const { return sigmoid(z); }
  Vec<T> df(Vec<T> a) const { return a * (Vec<T>::set(1) - a); }
};

}  // namespace fastnn::activations
