// NAdam with torch's rules: Adam with Nesterov's look-ahead. The momentum of update t is
// mu_t = beta1 (1 - 0.96^(t momentum_decay) / 2), M_t the product of mu_1 to mu_t, and
// w -= lr ((1 - mu_t) / (1 - M_t) g + mu_{t+1} / (1 - M_{t+1}) m) / (sqrt(v / (1 - beta2^t)) + eps).
// torch stores M_t in its default dtype, so in float32 as a rule; here it is computed in double.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "core/elementary.h"
#include "optimizers/adam_update.h"

namespace fastnn::optimizers {

struct NAdamParams {
  double lr = 2e-3, beta1 = 0.9, beta2 = 0.999, eps = 1e-8, weight_decay = 0, momentum_decay = 4e-3;
  bool decoupled_weight_decay = false;
  double l1 = 0;
};
struct NAdamCoefficients {
  double of_gradient, of_mean, share1, beta2, share2, correction2, eps, decay, shrink;
};

template <class T>
struct NAdam {
  using Params = NAdamParams;
  using Coefficients = NAdamCoefficients;
  static constexpr auto kFields = adam_fields<Params>(
      kWeightDecay<Params>,
      field<&Params::momentum_decay>("momentum_decay", at_least(0),
                                     "how fast the momentum rises from beta1 / 2 to beta1", tries(0.3)),
      kDecoupled<Params>);
  static constexpr bool kFixedMomentum = true;  // M_t is computed as the product for one beta1
  enum { kExpAvg, kExpAvgSq };
  static constexpr std::array kStates{State{"exp_avg"}, State{"exp_avg_sq"}};

  static Coefficients coefficients(const Params& p, std::int64_t t) {
    const auto mu = [&](double step) {
      return p.beta1 * (0.5 + 0.5 * power_complement(0.96, step * p.momentum_decay));
    };
    const auto steps = static_cast<double>(t);
    const double now = mu(steps), next = mu(steps + 1), product = product_of_momenta(p, t);
    return {.of_gradient = p.lr * (1 - now) / (1 - product),
            .of_mean = p.lr * next / (1 - product * next),
            .share1 = 1 - p.beta1,
            .beta2 = p.beta2,
            .share2 = 1 - p.beta2,
            .correction2 = 1 / std::sqrt(power_complement(p.beta2, steps)),
            .eps = p.eps,
            .decay = p.decoupled_weight_decay ? 0 : p.weight_decay,
            .shrink = p.decoupled_weight_decay ? 1 - p.lr * p.weight_decay : 1};
  }
  explicit NAdam(const Coefficients& c)
      : of_gradient(set(c.of_gradient)),
        of_mean(set(c.of_mean)),
        share1(set(c.share1)),
        beta2(set(c.beta2)),
        share2(set(c.share2)),
        correction2(set(c.correction2)),
        eps(Vec<T>::set(std::max(static_cast<T>(c.eps), std::numeric_limits<T>::min()))),
        decay(set(c.decay)),
        shrink(set(c.shrink)) {}
  template <class S>
  Vec<T> update(Vec<T> w, Vec<T> g, S& state) const {
    g = fma(decay, w, g);
    auto &mean = state[kExpAvg], &square = state[kExpAvgSq];
    mean = fma(share1, g - mean, mean);
    square = fma(beta2, square, share2 * (g * g));
    const auto denominator = fma(sqrt(square), correction2, eps);
    return w * shrink - fma(of_gradient, g, of_mean * mean) / denominator;
  }
  Vec<T> of_gradient, of_mean, share1, beta2, share2, correction2, eps, decay, shrink;

 private:
  static Vec<T> set(double value) { return Vec<T>::set(static_cast<T>(value)); }
  // M_t. It has no closed form, but it need not be computed further than to where 1 - M_t is 1: a few hundred factors
  // with beta1 = 0.9.
  static double product_of_momenta(const Params& p, std::int64_t t) {
    const double ratio = 1 - power_complement(0.96, p.momentum_decay);
    double product = 1, power = 1;
    for (std::int64_t i = 1; i <= t && product > 1e-20; ++i) {
      power *= ratio;
      product *= p.beta1 * (1 - 0.5 * power);
    }
    return product;
  }
};

}  // namespace fastnn::optimizers
