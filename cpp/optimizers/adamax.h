// Adamax with torch's rules: m = lerp(m, g, 1 - beta1), u = max(beta2 u, |g| + eps); w -= lr / (1 - beta1^t) m / u.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <array>
#include <limits>

#include "core/elementary.h"
#include "optimizers/adam_update.h"

namespace fastnn::optimizers {

struct AdamaxParams {
  double lr = 2e-3, beta1 = 0.9, beta2 = 0.999, eps = 1e-8, weight_decay = 0, l1 = 0;
};
struct AdamaxCoefficients {
  double step_size, share1, beta2, eps, decay;
};

template <class T>
struct Adamax {
  using Params = AdamaxParams;
  using Coefficients = AdamaxCoefficients;
  static constexpr auto kFields = adam_fields<Params>(kWeightDecay<Params>);
  enum { kExpAvg, kExpInf };
  static constexpr std::array kStates{State{"exp_avg"}, State{"exp_inf"}};
  static Coefficients coefficients(const Params& p, std::int64_t t) {
    return {p.lr / power_complement(p.beta1, static_cast<double>(t)), 1 - p.beta1, p.beta2, p.eps, p.weight_decay};
  }
  explicit Adamax(const Coefficients& c)
      : step_size(set(c.step_size)), share1(set(c.share1)), beta2(set(c.beta2)), eps(set(c.eps)), decay(set(c.decay)) {}
  template <class S>
  Vec<T> update(Vec<T> w, Vec<T> g, S& state) const {
    g = fma(decay, w, g);
    auto &mean = state[kExpAvg], &largest = state[kExpInf];
    mean = fma(share1, g - mean, mean);
    largest = max(beta2 * largest, abs(g) + eps);
    // With eps = 0 the denominator of a parameter whose gradients have all been zero is not zero.
    return w - step_size * mean / max(largest, Vec<T>::set(std::numeric_limits<T>::min()));
  }
  Vec<T> step_size, share1, beta2, eps, decay;

 private:
  static Vec<T> set(double value) { return Vec<T>::set(static_cast<T>(value)); }
};

}  // namespace fastnn::optimizers
