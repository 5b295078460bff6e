// RAdam with torch's rules: Adam whose step is multiplied by r_t, which corrects for the variance of 1 / sqrt(v) over
// the first updates; while that variance is not finite (rho_t <= 5, about five updates with beta2 = 0.999), the step is
// along the mean alone. rho_t = rho - 2 t beta2^t / (1 - beta2^t) and rho = 2 / (1 - beta2) - 1;
// r_t^2 = (rho_t - 4) (rho_t - 2) rho / ((rho - 4) (rho - 2) rho_t).
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "core/elementary.h"
#include "optimizers/adam_update.h"

namespace fastnn::optimizers {

struct RAdamParams {
  double lr = 1e-3, beta1 = 0.9, beta2 = 0.999, eps = 1e-8, weight_decay = 0;
  bool decoupled_weight_decay = false;
  double l1 = 0;
};
struct RAdamCoefficients {
  double step_size, share1, beta2, share2, eps, decay, shrink;
  bool rectified;
};

template <class T>
struct RAdam {
  using Params = RAdamParams;
  using Coefficients = RAdamCoefficients;
  static constexpr auto kFields = adam_fields<Params>(kWeightDecay<Params>, kDecoupled<Params>);
  enum { kExpAvg, kExpAvgSq };
  static constexpr std::array kStates{State{"exp_avg"}, State{"exp_avg_sq"}};

  static Coefficients coefficients(const Params& p, std::int64_t t) {
    const auto steps = static_cast<double>(t);
    const double complement2 = power_complement(p.beta2, steps);
    const double limit = 2 / (1 - p.beta2) - 1, rho = limit - 2 * steps * (1 - complement2) / complement2;
    double step_size = p.lr / power_complement(p.beta1, steps);
    if (rho > 5) {
      const double squared = (rho - 4) * (rho - 2) * limit / ((limit - 4) * (limit - 2) * rho);
      step_size *= std::sqrt(squared * complement2);
    }
    return {.step_size = step_size,
            .share1 = 1 - p.beta1,
            .beta2 = p.beta2,
            .share2 = 1 - p.beta2,
            .eps = p.eps,
            .decay = p.decoupled_weight_decay ? 0 : p.weight_decay,
            .shrink = p.decoupled_weight_decay ? 1 - p.lr * p.weight_decay : 1,
            .rectified = rho > 5};
  }
  explicit RAdam(const Coefficients& c)
      : step_size(set(c.step_size)),
        share1(set(c.share1)),
        beta2(set(c.beta2)),
        share2(set(c.share2)),
        eps(Vec<T>::set(std::max(static_cast<T>(c.eps), std::numeric_limits<T>::min()))),
        decay(set(c.decay)),
        shrink(set(c.shrink)),
        rectified(c.rectified) {}
  template <class S>
  Vec<T> update(Vec<T> w, Vec<T> g, S& state) const {
    g = fma(decay, w, g);
    auto &mean = state[kExpAvg], &square = state[kExpAvgSq];
    mean = fma(share1, g - mean, mean);
    square = fma(beta2, square, share2 * (g * g));
    const auto denominator = rectified ? sqrt(square) + eps : Vec<T>::set(1);
    return w * shrink - step_size * mean / denominator;
  }
  Vec<T> step_size, share1, beta2, share2, eps, decay, shrink;
  bool rectified;

 private:
  static Vec<T> set(double value) { return Vec<T>::set(static_cast<T>(value)); }
};

}  // namespace fastnn::optimizers
