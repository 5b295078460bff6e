// What Adam and AdamW share, with torch's rules: m = lerp(m, g, 1 - beta1), v = beta2 v + (1 - beta2) g^2,
// w -= lr / (1 - beta1^t) m / (sqrt(v / (1 - beta2^t)) + eps). They differ in where weight decay enters: in the
// gradient (Adam), or as w *= 1 - lr weight_decay (AdamW).
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "core/elementary.h"
#include "optimizers/optimizer.h"

namespace fastnn::optimizers {

constexpr std::array<Hyper, 6> adam_hypers(double weight_decay, const char* decay_doc) {
  // Below 1, because the bias correction divides by 1 - beta^t.
  constexpr double kHighestBeta = 0.9999999;
  return {{
      kLr,
      {.name = "beta1", .value = 0.9, .lowest = 0, .highest = kHighestBeta, .doc = "share of the last mean kept"},
      {.name = "beta2",
       .value = 0.999,
       .lowest = 0,
       .highest = kHighestBeta,
       .doc = "share of the last mean square kept"},
      {.name = "eps", .value = 1e-8, .lowest = 0, .doc = "added to the root of the mean square"},
      {.name = "weight_decay", .value = weight_decay, .lowest = 0, .doc = decay_doc},
      kL1,
  }};
}

template <class T>
struct AdamUpdate {
  static constexpr int kStates = 2;
  static int states(const double*) { return 2; }

  // decay: added to the gradient as decay w; shrink: w is multiplied by it.
  static Coefficients adam_coefficients(const double* hyper, std::int64_t t, double decay, double shrink) {
    const double beta1 = hyper[1], beta2 = hyper[2], steps = static_cast<double>(t);
    const double step_size = hyper[0] / power_complement(beta1, steps);
    return {step_size, 1 - beta1, beta2, 1 - beta2, 1 / std::sqrt(power_complement(beta2, steps)),
            hyper[3],  decay,     shrink};
  }
  // eps = 0 becomes the smallest normal number: where a gradient has always been zero (padding, dead units) the step
  // is 0 / eps = 0 instead of 0 / 0.
  explicit AdamUpdate(const Coefficients& c)
      : step_size(set(c[0])),
        share1(set(c[1])),
        beta2(set(c[2])),
        share2(set(c[3])),
        correction2(set(c[4])),
        eps(Vec<T>::set(std::max(static_cast<T>(c[5]), std::numeric_limits<T>::min()))),
        decay(set(c[6])),
        shrink(set(c[7])) {}

  Vec<T> update(Vec<T> w, Vec<T> g, Vec<T>* state) const {
    g = fma(decay, w, g);
    state[0] = fma(share1, g - state[0], state[0]);
    state[1] = fma(beta2, state[1], share2 * (g * g));
    const auto denominator = fma(sqrt(state[1]), correction2, eps);
    return w * shrink - step_size * state[0] / denominator;
  }

  Vec<T> step_size, share1, beta2, share2, correction2, eps, decay, shrink;

 private:
  static Vec<T> set(double value) { return Vec<T>::set(static_cast<T>(value)); }
};

}  // namespace fastnn::optimizers
