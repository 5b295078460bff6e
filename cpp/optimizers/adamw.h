// AdamW with torch's rules: weight decay shrinks the parameter directly and never meets the moments.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "optimizers/adam_update.h"

namespace fastnn::optimizers {

template <class T>
struct AdamW : AdamUpdate<T> {
  static constexpr auto kHypers = adam_hypers(1e-2, "multiplies w by 1 - lr * weight_decay");
  static Coefficients coefficients(const double* hyper, std::int64_t t) {
    return AdamW::adam_coefficients(hyper, t, 0, 1 - hyper[0] * hyper[4]);
  }
  using AdamUpdate<T>::AdamUpdate;
};

}  // namespace fastnn::optimizers
