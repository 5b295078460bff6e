// hardswish(z) = z hardsigmoid(z), which is 0 up to -3 and z from 3 on (Howard et al. 2019). At the two ends the
// derivative is that of the outer parts, 0 and 1, as in torch.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "activations/hardsigmoid.h"

namespace fastnn::activations {

template <class T>
struct Hardswish {
  static constexpr Needs kNeeds = Needs::kInput;

  Vec<T> f(Vec<T> z) const { return z * Hardsigmoid<T>{}.f(z); }
  Vec<T> df(Vec<T> z) const {
    const auto three = Vec<T>::set(3), one = Vec<T>::set(1);
    const auto inner = fma(z, Vec<T>::set(T(1) / 3), Vec<T>::set(T(0.5)));
    return select(less(abs(z), three), inner, select(less(z, three), Vec<T>::zero(), one));
  }
};

}  // namespace fastnn::activations
