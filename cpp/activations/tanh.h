// tanh(z), with f' = 1 - tanh^2 from the output.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "activations/activation.h"
#include "core/simd_math.h"

namespace fastnn::activations {

template <class T>
struct Tanh {
  static constexpr Needs kNeeds = Needs::kOutput;

  Vec<T> f(Vec<T> z) const { return tanh(z); }
  Vec<T> df(Vec<T> a) const {
    const auto one = Vec<T>::set(1);
    return (one - a) * (one + a);
  }
};

}  // namespace fastnn::activations
