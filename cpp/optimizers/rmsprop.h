// RMSprop with torch's rules: v = alpha v + (1 - alpha) g^2; the step is along g / (sqrt(v) + eps), or, with momentum,
// along a velocity of such steps. `centered` takes the variance v - m^2 in place of v, where m is the running mean of g
// as v is that of g^2. If rounding makes the variance negative, it counts as zero.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <algorithm>
#include <array>
#include <limits>

#include "optimizers/optimizer.h"

namespace fastnn::optimizers {

struct RmspropParams {
  double lr = 1e-2, alpha = 0.99, eps = 1e-8, weight_decay = 0, momentum = 0;
  bool centered = false;
  double l1 = 0;
};
struct RmspropCoefficients {
  double lr, alpha, share, eps, decay, momentum;
};

template <class T>
struct Rmsprop {
  using Params = RmspropParams;
  using Coefficients = RmspropCoefficients;
  static constexpr std::array kFields{
      kLr<Params>,
      field<&Params::alpha>("alpha", within(0, 1), "share of the last mean square kept", tries(0.7)),
      field<&Params::eps>("eps", at_least(0), "added to the root of the mean square", tries(3e-7)),
      kWeightDecay<Params>,
      field<&Params::momentum>("momentum", within(0, 1), "share of the last velocity kept", tries(0.3)),
      field<&Params::centered>("centered", "divide by the root of the variance instead of the mean square"),
      kL1<Params>,
  };
  enum { kSquareAvg, kGradAvg, kMomentumBuffer };
  static constexpr std::array kStates{State{"square_avg"}, State{"grad_avg", true}, State{"momentum_buffer", true}};
  static bool keeps(int state, const Params& p) { return state == kGradAvg ? p.centered : p.momentum != 0; }
  static Coefficients coefficients(const Params& p, std::int64_t) {
    return {p.lr, p.alpha, 1 - p.alpha, p.eps, p.weight_decay, p.momentum};
  }
  explicit Rmsprop(const Coefficients& c)
      : lr(set(c.lr)),
        alpha(set(c.alpha)),
        share(set(c.share)),
        eps(Vec<T>::set(std::max(static_cast<T>(c.eps), std::numeric_limits<T>::min()))),
        decay(set(c.decay)),
        momentum(set(c.momentum)) {}
  template <class S>
  Vec<T> update(Vec<T> w, Vec<T> g, S& state) const {
    g = fma(decay, w, g);
    auto& square = state[kSquareAvg];
    square = fma(alpha, square, share * (g * g));
    auto variance = square;
    if constexpr (S::has(kGradAvg)) {
      auto& mean = state[kGradAvg];
      mean = fma(share, g - mean, mean);
      variance = max(square - mean * mean, Vec<T>::zero());
    }
    auto step = g / (sqrt(variance) + eps);
    if constexpr (S::has(kMomentumBuffer)) {
      auto& velocity = state[kMomentumBuffer];
      velocity = fma(momentum, velocity, step);
      step = velocity;
    }
    return w - lr * step;
  }
  Vec<T> lr, alpha, share, eps, decay, momentum;

 private:
  static Vec<T> set(double value) { return Vec<T>::set(static_cast<T>(value)); }
};

}  // namespace fastnn::optimizers
