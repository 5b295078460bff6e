// relu(z) = max(z, 0), with f'(0) = 0 as in torch.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "activations/activation.h"

namespace fastnn::activations {

template <class T>
struct Relu {
  static constexpr Needs kNeeds = Needs::kOutput;

  Vec<T> f(Vec<T> z) const { return max(z, Vec<T>::zero()); }
  Vec<T> df(Vec<T> a) const { return select(less(Vec<T>::zero(), a), Vec<T>::set(1), Vec<T>::zero()); }
};

}  // namespace fastnn::activations
