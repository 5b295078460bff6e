// Absolute error: l = |out - t|; the gradient at zero is zero, as in torch.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "losses/elementwise.h"

namespace fastnn::losses {

template <class T>
struct L1 : Elementwise<T, L1<T>> {
  Vec<T> value(Vec<T> z, Vec<T> t) const { return abs(z - t); }
  Vec<T> gradient(Vec<T> z, Vec<T> t) const {
    const auto one = Vec<T>::set(1);
    return select(less(t, z), one, select(less(z, t), -one, z - t));  // z - t: zero, or NaN as it should be
  }
};

}  // namespace fastnn::losses
