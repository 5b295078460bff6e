// Half the squared error: l = (out - t)^2 / 2, whose gradient is out - t; many courses use this form.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "losses/elementwise.h"

namespace fastnn::losses {

template <class T>
struct HalfMse : Elementwise<T, HalfMse<T>> {
  Vec<T> value(Vec<T> z, Vec<T> t) const { return Vec<T>::set(T(0.5)) * ((z - t) * (z - t)); }
  Vec<T> gradient(Vec<T> z, Vec<T> t) const { return z - t; }
};

}  // namespace fastnn::losses
