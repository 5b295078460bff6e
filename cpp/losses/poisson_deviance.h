// Half the Poisson deviance of counts t from rates r = exp(out): t log(t / r) - t + r, 0 where they agree. It differs
// from the negative log-likelihood of poisson_nll.h only by terms of t. Near 0 these terms cancel, so it is computed as
// t (expm1(d) - d) with d = log(r / t). predict gives the rates.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <algorithm>

#include "core/simd_math.h"
#include "losses/elementwise.h"
#include "losses/exp_link.h"

namespace fastnn::losses {

template <class T>
struct PoissonDeviance : Elementwise<T, PoissonDeviance<T>> {
  static constexpr Interval kTargets{.lowest = 0};
  static constexpr const char* kPredicts = "the rates";

  Vec<T> value(Vec<T> z, Vec<T> t) const {
    const auto zero = Vec<T>::zero(), d = z - log(t);
    const auto far = select(less(zero, t), -(t * d), zero) - t + exp(z);
    return select(less(abs(d), Vec<T>::set(1)), t * (expm1(d) - d), far);
  }
  Vec<T> gradient(Vec<T> z, Vec<T> t) const { return exp(z) - t; }

  void link(T* out, Index k) const {
    for (Index c = 0; c < k; c += Vec<T>::kLanes) exp(Vec<T>::load(out + c)).store(out + c);
    std::fill(out + k, out + padded<T>(k), T(0));
  }
  void link_backward(const T* p, T* grad, Index k) const { exp_link_backward(p, grad, k); }
};

}  // namespace fastnn::losses
