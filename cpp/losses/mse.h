// Squared error: l = (out - t)^2, averaged over all elements with reduction="mean", as in torch. half_mse.h is half of
// it.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "losses/elementwise.h"

namespace fastnn::losses {

template <class T>
struct Mse : Elementwise<T, Mse<T>> {
  Vec<T> value(Vec<T> z, Vec<T> t) const { return (z - t) * (z - t); }
  Vec<T> gradient(Vec<T> z, Vec<T> t) const { return Vec<T>::set(2) * (z - t); }
};

}  // namespace fastnn::losses
