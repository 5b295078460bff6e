// Adam with torch's rules: weight decay is added to the gradient, and so enters the moments; decoupled, it is AdamW's.
// In scikit-learn's form, w -= lr sqrt(1 - beta2^t) / (1 - beta1^t) m / (sqrt(v) + eps): eps is added to the root before
// its bias is corrected.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "optimizers/adam_update.h"

namespace fastnn::optimizers {

struct AdamParams {
  double lr = 1e-3, beta1 = 0.9, beta2 = 0.999, eps = 1e-8, weight_decay = 0;
  bool amsgrad = false, decoupled_weight_decay = false;
  double l1 = 0;
  UpdateForm form = UpdateForm::kTorch;
};

template <class T>
struct Adam : AdamUpdate<T> {
  using Params = AdamParams;
  static constexpr auto kFields =
      adam_fields<Params>(kWeightDecay<Params>, kAmsgrad<Params>, kDecoupled<Params>, kForm<Params>);
  static AdamCoefficients coefficients(const Params& p, std::int64_t t, double batch_weight) {
    const double decay = decay_in(p.form, p.weight_decay, batch_weight);
    const bool decoupled = p.decoupled_weight_decay;
    AdamCoefficients c = adam_coefficients(p, t, decoupled ? 0 : decay, decoupled ? 1 - p.lr * decay : 1);
    if (p.form == UpdateForm::kSklearn) c.step_size /= c.correction2, c.correction2 = 1;
    return c;
  }
  using AdamUpdate<T>::AdamUpdate;
};

}  // namespace fastnn::optimizers
