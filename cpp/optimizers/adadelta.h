// Adadelta with torch's rules: v = rho v + (1 - rho) g^2; the step d = g sqrt(a + eps) / sqrt(v + eps) has the unit of
// the parameter, since a = rho a + (1 - rho) d^2 is the mean square of earlier steps.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <algorithm>
#include <array>
#include <limits>

#include "optimizers/optimizer.h"

namespace fastnn::optimizers {

struct AdadeltaParams {
  double lr = 1.0, rho = 0.9, eps = 1e-6, weight_decay = 0, l1 = 0;
};
struct AdadeltaCoefficients {
  double lr, rho, share, eps, decay;
};

template <class T>
struct Adadelta {
  using Params = AdadeltaParams;
  using Coefficients = AdadeltaCoefficients;
  static constexpr std::array kFields{
      kLr<Params>,
      field<&Params::rho>("rho", within(0, 1), "share of the last mean squares kept", tries(0.7)),
      field<&Params::eps>("eps", above(0), "added to both mean squares; the first steps are as large as its root",
                          tries(3e-4)),
      kWeightDecay<Params>,
      kL1<Params>,
  };
  enum { kSquareAvg, kAccDelta };
  static constexpr std::array kStates{State{"square_avg"}, State{"acc_delta"}};
  static Coefficients coefficients(const Params& p, std::int64_t) {
    return {p.lr, p.rho, 1 - p.rho, p.eps, p.weight_decay};
  }
  explicit Adadelta(const Coefficients& c)
      : lr(set(c.lr)),
        rho(set(c.rho)),
        share(set(c.share)),
        eps(Vec<T>::set(std::max(static_cast<T>(c.eps), std::numeric_limits<T>::min()))),
        decay(set(c.decay)) {}
  template <class S>
  Vec<T> update(Vec<T> w, Vec<T> g, S& state) const {
    g = fma(decay, w, g);
    auto &square = state[kSquareAvg], &steps = state[kAccDelta];
    square = fma(rho, square, share * (g * g));
    const auto step = sqrt(steps + eps) / sqrt(square + eps) * g;
    steps = fma(rho, steps, share * (step * step));
    return w - lr * step;
  }
  Vec<T> lr, rho, share, eps, decay;

 private:
  static Vec<T> set(double value) { return Vec<T>::set(static_cast<T>(value)); }
};

}  // namespace fastnn::optimizers
