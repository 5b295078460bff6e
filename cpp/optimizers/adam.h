// Adam with torch's rules: weight decay is added to the gradient, and so enters the moments.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "optimizers/adam_update.h"

namespace fastnn::optimizers {

struct AdamParams {
  double lr = 1e-3, beta1 = 0.9, beta2 = 0.999, eps = 1e-8, weight_decay = 0, l1 = 0;
};

template <class T>
struct Adam : AdamUpdate<T> {
  using Params = AdamParams;
  static constexpr auto kFields = adam_fields<Params>(kWeightDecay<Params>);
  static AdamCoefficients coefficients(const Params& p, std::int64_t t) {
    return adam_coefficients(p, t, p.weight_decay, 1);
  }
  using AdamUpdate<T>::AdamUpdate;
};

}  // namespace fastnn::optimizers
