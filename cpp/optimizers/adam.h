// Adam with torch's rules: weight decay is added to the gradient, and so enters the moments; decoupled, it is AdamW's.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "optimizers/adam_update.h"

namespace fastnn::optimizers {

struct AdamParams {
  double lr = 1e-3, beta1 = 0.9, beta2 = 0.999, eps = 1e-8, weight_decay = 0;
  bool amsgrad = false, decoupled_weight_decay = false;
  double l1 = 0;
};

template <class T>
struct Adam : AdamUpdate<T> {
  using Params = AdamParams;
  static constexpr auto kFields = adam_fields<Params>(kWeightDecay<Params>, kAmsgrad<Params>, kDecoupled<Params>);
  static AdamCoefficients coefficients(const Params& p, std::int64_t t) {
    const bool decoupled = p.decoupled_weight_decay;
    return adam_coefficients(p, t, decoupled ? 0 : p.weight_decay, decoupled ? 1 - p.lr * p.weight_decay : 1);
  }
  using AdamUpdate<T>::AdamUpdate;
};

}  // namespace fastnn::optimizers
