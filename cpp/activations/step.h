// step(z) = 1 for z >= 0 and 0 below: the unit of the perceptron (Rosenblatt 1958) and of logic gates. NaN stays NaN.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "activations/activation.h"

namespace fastnn::activations {

template <class T>
struct Step {
  static constexpr Needs kNeeds = Needs::kOutput;
  static constexpr const char* kNote =
      "Its derivative is 0 everywhere, so the layers before it do not learn: it is for given weights and perceptrons.";

  Vec<T> f(Vec<T> z) const {
    const auto zero = Vec<T>::zero();
    return select(at_most(zero, z), Vec<T>::set(1), select(less(z, zero), zero, z));
  }
  Vec<T> df(Vec<T>) const { return Vec<T>::zero(); }
};

}  // namespace fastnn::activations
