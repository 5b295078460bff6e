// Adam with torch's rules: weight decay is added to the gradient, so it passes through the moments.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "optimizers/adam_update.h"

namespace fastnn::optimizers {

template <class T>
struct Adam : AdamUpdate<T> {
  static constexpr auto kHypers = adam_hypers(0, "adds weight_decay * w to the gradient");
  static Coefficients coefficients(const double* hyper, std::int64_t t) {
    return Adam::adam_coefficients(hyper, t, hyper[4], 1);
  }
  using AdamUpdate<T>::AdamUpdate;
};

}  // namespace fastnn::optimizers
