// The common part of Adam and AdamW, with torch's rules: m = lerp(m, g, 1 - beta1), v = beta2 v + (1 - beta2) g^2,
// w -= lr / (1 - beta1^t) m / (sqrt(v / (1 - beta2^t)) + eps). They differ in where weight decay enters: in the
// gradient (Adam), or as w *= 1 - lr weight_decay (AdamW). With amsgrad, the largest v so far takes the place of v. The
// table of fields serves all relatives of Adam.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "core/elementary.h"
#include "optimizers/optimizer.h"

namespace fastnn::optimizers {

// `decay` is the field of weight_decay, whose default differs; `more` are fields that a member has besides Adam's. The
// betas have to be below 1, because the bias correction divides by 1 - beta^t.
template <class P, class... More>
constexpr std::array<Field, 6 + sizeof...(More)> adam_fields(Field decay, More... more) {
  return {
      kLr<P>,
      field<&P::beta1>("beta1", within(0, below(1)), "share of the last mean kept", tries(0.63), pair("betas")),
      field<&P::beta2>("beta2", within(0, below(1)), "share of the last mean square kept", tries(0.6993),
                       pair("betas")),
      field<&P::eps>("eps", at_least(0), "added to the root of the mean square", tries(3e-7)),
      decay,
      more...,
      kL1<P>,
  };
}
template <class P>
inline constexpr Field kAmsgrad = field<&P::amsgrad>("amsgrad", "divide by the root of the largest mean square so far");

// decay w is added to the gradient (Adam); w is multiplied by `shrink` (AdamW).
struct AdamCoefficients {
  double step_size, share1, beta2, share2, correction2, eps, decay, shrink;
};
template <class P>
AdamCoefficients adam_coefficients(const P& p, std::int64_t t, double decay, double shrink) {
  const auto steps = static_cast<double>(t);
  return {.step_size = p.lr / power_complement(p.beta1, steps),
          .share1 = 1 - p.beta1,
          .beta2 = p.beta2,
          .share2 = 1 - p.beta2,
          .correction2 = 1 / std::sqrt(power_complement(p.beta2, steps)),
          .eps = p.eps,
          .decay = decay,
          .shrink = shrink};
}

template <class T>
struct AdamUpdate {
  using Coefficients = AdamCoefficients;
  enum { kExpAvg, kExpAvgSq, kMaxExpAvgSq };
  static constexpr std::array kStates{State{"exp_avg"}, State{"exp_avg_sq"}, State{"max_exp_avg_sq", true}};
  template <class P>
  static bool keeps(int, const P& p) {
    return p.amsgrad;
  }

  // eps = 0 is replaced by the smallest normal number, so that for parameters whose gradients have all been zero
  // (padding, dead units) the step is 0 / eps = 0 instead of 0 / 0.
  explicit AdamUpdate(const Coefficients& c)
      : step_size(set(c.step_size)),
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
    auto divisor = square;
    if constexpr (S::has(kMaxExpAvgSq)) divisor = state[kMaxExpAvgSq] = max(state[kMaxExpAvgSq], square);
    const auto denominator = fma(sqrt(divisor), correction2, eps);
    return w * shrink - step_size * mean / denominator;
  }

  Vec<T> step_size, share1, beta2, share2, correction2, eps, decay, shrink;

 private:
  static Vec<T> set(double value) { return Vec<T>::set(static_cast<T>(value)); }
};

}  // namespace fastnn::optimizers
