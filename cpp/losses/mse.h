// Mean squared error: l = (out - t)^2, averaged over all elements (reduction="mean", as torch).
// The courses' half of it is half_mse.h.
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
