// log(cosh(e)) of the error e = out - target: e^2 / 2 near zero and |e| - log 2 far from it. With w = exp(-|e|) it is
//   log(1 + (1 - w)^2 / (2 w)) for |e| < 1, where 1 - w = -expm1(-|e|), and |e| - log 2 + log(1 + w^2) beyond,
// so that neither small errors lose their digits nor large ones overflow. The gradient is tanh(e).
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "core/simd_math.h"
#include "losses/elementwise.h"

namespace fastnn::losses {

template <class T>
struct LogCosh : Elementwise<T, LogCosh<T>> {
  Vec<T> value(Vec<T> z, Vec<T> t) const {
    const auto one = Vec<T>::set(1), two = Vec<T>::set(2), e = abs(z - t);
    const auto less_one = expm1(-e), w = less_one + one;
    const auto near = less(e, one);
    const auto inside = select(near, less_one * less_one / (two * w), w * w);
    const auto far = e - Vec<T>::set(static_cast<T>(0.69314718055994530942));
    return select(near, Vec<T>::zero(), far) + log1p(inside);
  }
  Vec<T> gradient(Vec<T> z, Vec<T> t) const { return tanh(z - t); }
};

}  // namespace fastnn::losses
