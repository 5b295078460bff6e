// Lion (Chen et al. 2023, "Symbolic discovery of optimization algorithms"): the step has the size lr in every element,
// with the sign of lerp(m, g, 1 - beta1); then m = lerp(m, g, 1 - beta2). Weight decay is decoupled, as in AdamW.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <array>

#include "optimizers/adam_update.h"

namespace fastnn::optimizers {

struct LionParams {
  double lr = 1e-4, beta1 = 0.9, beta2 = 0.99, weight_decay = 0, l1 = 0;
};
struct LionCoefficients {
  double lr, share1, share2, shrink;
};

template <class T>
struct Lion {
  using Params = LionParams;
  using Coefficients = LionCoefficients;
  static constexpr std::array kFields{
      kLr<Params>,
      field<&Params::beta1>("beta1", within(0, 1), "share of the mean in the step's direction", tries(0.63),
                            pair("betas")),
      field<&Params::beta2>("beta2", within(0, 1), "share of the last mean kept", tries(0.6993), pair("betas")),
      kShrink<Params>,
      kL1<Params>,
  };
  static constexpr bool kShrinks = true;
  enum { kExpAvg };
  static constexpr std::array kStates{State{"exp_avg"}};
  static Coefficients coefficients(const Params& p, std::int64_t) {
    return {p.lr, 1 - p.beta1, 1 - p.beta2, 1 - p.lr * p.weight_decay};
  }
  explicit Lion(const Coefficients& c)
      : lr(set(c.lr)), share1(set(c.share1)), share2(set(c.share2)), shrink(set(c.shrink)) {}
  template <class S>
  Vec<T> update(Vec<T> w, Vec<T> g, S& state) const {
    auto& mean = state[kExpAvg];
    const auto zero = Vec<T>::zero(), direction = fma(share1, g - mean, mean);
    const auto step = select(less(zero, direction), lr, select(less(direction, zero), -lr, zero));
    mean = fma(share2, g - mean, mean);
    return w * shrink - step;
  }
  Vec<T> lr, share1, share2, shrink;

 private:
  static Vec<T> set(double value) { return Vec<T>::set(static_cast<T>(value)); }
};

}  // namespace fastnn::optimizers
