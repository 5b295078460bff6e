// Smooth L1 loss of the error e = out - target: e^2 / (2 beta) for |e| < beta, and |e| - beta / 2 beyond (Girshick
// 2015). beta = 0 is the L1 loss, as in torch.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <algorithm>
#include <array>
#include <limits>

#include "losses/elementwise.h"

namespace fastnn::losses {

struct SmoothL1Params {
  Reduction reduction = Reduction::kMean;
  double beta = 1;
};

template <class T>
struct SmoothL1 : Elementwise<T, SmoothL1<T>> {
  using Params = SmoothL1Params;
  static constexpr std::array kFields{
      kReductionOverOutputs<Params>,
      field<&Params::beta>("beta", at_least(0), "size of the error from which on the loss is linear", tries(0.4))};
  explicit SmoothL1(const Params& p)
      : beta(Vec<T>::set(static_cast<T>(p.beta))),
        inverse(Vec<T>::set(static_cast<T>(1 / std::max(p.beta, double{std::numeric_limits<T>::min()})))) {}

  Vec<T> value(Vec<T> z, Vec<T> t) const {
    const auto e = abs(z - t), half = Vec<T>::set(T(0.5));
    return select(less(e, beta), half * e * e * inverse, e - half * beta);
  }
  Vec<T> gradient(Vec<T> z, Vec<T> t) const {
    const auto e = z - t, one = Vec<T>::set(1);
    const auto sign = select(less(t, z), one, select(less(z, t), -one, e));
    return select(less(abs(e), beta), e * inverse, sign);
  }

  Vec<T> beta, inverse;
};

}  // namespace fastnn::losses
