// AdamW with torch's rules: weight decay reduces the parameter directly and does not enter the moments.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "optimizers/adam_update.h"

namespace fastnn::optimizers {

struct AdamWParams {
  double lr = 1e-3, beta1 = 0.9, beta2 = 0.999, eps = 1e-8, weight_decay = 1e-2;
  bool amsgrad = false;
  double l1 = 0;
};

template <class T>
struct AdamW : AdamUpdate<T> {
  using Params = AdamWParams;
  static constexpr auto kFields = adam_fields<Params>(kShrink<Params>, kAmsgrad<Params>);
  static constexpr bool kShrinks = true;
  static AdamCoefficients coefficients(const Params& p, std::int64_t t) {
    return adam_coefficients(p, t, 0, 1 - p.lr * p.weight_decay);
  }
  using AdamUpdate<T>::AdamUpdate;
};

}  // namespace fastnn::optimizers
