// hardsigmoid(z) = (z + 3) / 6, limited to [0, 1]; the derivative at the ends is 0, as in torch. The backward pass
// needs the input: an output may be rounded to 1 where z is below 3.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "activations/activation.h"

namespace fastnn::activations {

template <class T>
struct Hardsigmoid {
  static constexpr Needs kNeeds = Needs::kInput;

  Vec<T> f(Vec<T> z) const {
    return max(min(z + Vec<T>::set(3), Vec<T>::set(6)), Vec<T>::zero()) * Vec<T>::set(T(1) / 6);
  }
  Vec<T> df(Vec<T> z) const { return select(less(abs(z), Vec<T>::set(3)), Vec<T>::set(T(1) / 6), Vec<T>::zero()); }
};

}  // namespace fastnn::activations
