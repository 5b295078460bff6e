// mish(z) = z tanh(log(1 + exp(z))) (Misra 2020). With e = exp(-|z|), tanh(log(1 + exp(z))) is the quotient
//   e (e + 2) / (e (e + 2) + 2) for z < 0 and (1 + 2 e) / (1 + 2 e + 2 e^2) for z >= 0,
// in which all terms are positive: exp cannot overflow, and both tails keep their relative accuracy. Its derivative is
//   4 e (1 + e) / D^2 for z < 0 and 4 e^2 (1 + e) / D^2 for z >= 0, where D is the denominator of the quotient.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "activations/activation.h"
#include "core/simd_math.h"

namespace fastnn::activations {

template <class T>
struct Mish {
  static constexpr Needs kNeeds = Needs::kInput;

  Vec<T> f(Vec<T> z) const {
    const auto [e, top, bottom] = parts(z);
    return z * (top / bottom);
  }
  Vec<T> df(Vec<T> z) const {
    const auto one = Vec<T>::set(1);
    const auto [e, top, bottom] = parts(z);
    const auto slope = Vec<T>::set(4) * select(less(z, Vec<T>::zero()), e, e * e) * (one + e);
    const auto inverse = one / bottom;
    return fma(z * slope * inverse, inverse, top * inverse);
  }

 private:
  struct Parts {
    Vec<T> e, top, bottom;
  };
  static Parts parts(Vec<T> z) {
    const auto two = Vec<T>::set(2), e = exp(-abs(z)), left = e * (e + two);
    const auto negative = less(z, Vec<T>::zero());
    const auto top = select(negative, left, fma(two, e, Vec<T>::set(1)));
    return {e, top, top + select(negative, two, two * e * e)};
  }
};

}  // namespace fastnn::activations
