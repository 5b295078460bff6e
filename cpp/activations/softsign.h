// softsign(z) = z / (1 + |z|), with f' = 1 / (1 + |z|)^2 from the input: the output cannot tell large inputs apart.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "activations/activation.h"

namespace fastnn::activations {

template <class T>
struct Softsign {
  static constexpr Needs kNeeds = Needs::kInput;

  Vec<T> f(Vec<T> z) const { return z / (Vec<T>::set(1) + abs(z)); }
  Vec<T> df(Vec<T> z) const {
    const auto one = Vec<T>::set(1), inverse = one / (one + abs(z));
    return inverse * inverse;
  }
};

}  // namespace fastnn::activations
