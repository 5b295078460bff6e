// Stochastic gradient descent with torch's rules: g += weight_decay w; v = momentum v + (1 - dampening) g (v = g at
// the first step); step along v, or along g + momentum v with Nesterov.
// Without momentum it keeps no state.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <array>

#include "optimizers/optimizer.h"

namespace fastnn::optimizers {

template <class T>
struct Sgd {
  static constexpr int kStates = 1;
  static constexpr std::array<Hyper, 6> kHypers{{
      kLr,
      {.name = "momentum", .value = 0, .lowest = 0, .highest = 1, .doc = "share of the last velocity kept"},
      {.name = "dampening",
       .value = 0,
       .lowest = 0,
       .highest = 1,
       .doc = "share of the gradient left out of the velocity"},
      {.name = "weight_decay", .value = 0, .lowest = 0, .doc = "adds weight_decay * w to the gradient"},
      {.name = "nesterov",
       .value = 0,
       .lowest = 0,
       .highest = 1,
       .doc = "look-ahead momentum",
       .kind = HyperKind::kFlag},
      kL1,
  }};
  static int states(const double* hyper) { return hyper[1] == 0 ? 0 : 1; }
  static Coefficients coefficients(const double* hyper, std::int64_t t) {
    const double dampening = t == 1 ? 0 : hyper[2];
    return {hyper[0], hyper[1], 1 - dampening, hyper[3], hyper[4]};
  }
  explicit Sgd(const Coefficients& c)
      : lr(Vec<T>::set(static_cast<T>(c[0]))),
        momentum(Vec<T>::set(static_cast<T>(c[1]))),
        share(Vec<T>::set(static_cast<T>(c[2]))),
        decay(Vec<T>::set(static_cast<T>(c[3]))),
        nesterov(c[4] != 0) {}

  Vec<T> update(Vec<T> w, Vec<T> g, Vec<T>* state) const {
    g = fma(decay, w, g);
    if (state) {
      state[0] = fma(momentum, state[0], share * g);
      g = nesterov ? fma(momentum, state[0], g) : state[0];
    }
    return w - lr * g;
  }

  Vec<T> lr, momentum, share, decay;
  bool nesterov;
};

}  // namespace fastnn::optimizers
