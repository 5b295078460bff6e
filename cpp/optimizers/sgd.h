// Stochastic gradient descent with torch's rules: g += weight_decay w; v = momentum v + (1 - dampening) g, where v = g
// in the first step; the step is along v, or along g + momentum v with Nesterov. Without momentum there is no state.
// In scikit-learn's form the learning rate is inside of the velocity: v = momentum v - lr (1 - dampening) g, w += v, or
// w += momentum v - lr g with Nesterov.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <array>

#include "optimizers/optimizer.h"

namespace fastnn::optimizers {

struct SgdParams {
  double lr = 1e-3, momentum = 0, dampening = 0, weight_decay = 0;
  bool nesterov = false;
  double l1 = 0;
  UpdateForm form = UpdateForm::kTorch;
};

// share: the factor of g in v. direct: the factor of g beside momentum v in Nesterov's step. lr: the factor of the step.
struct SgdCoefficients {
  double lr, momentum, share, direct, decay;
  bool nesterov;
};

template <class T>
struct Sgd {
  using Params = SgdParams;
  using Coefficients = SgdCoefficients;
  static constexpr std::array kFields{
      kLr<Params>,
      field<&Params::momentum>("momentum", within(0, 1), "share of the last velocity kept", tries(0.3)),
      field<&Params::dampening>("dampening", within(0, 1), "share of the gradient left out of the velocity",
                                tries(0.3)),
      kWeightDecay<Params>,
      field<&Params::nesterov>("nesterov", "look-ahead momentum"),
      kL1<Params>,
      kForm<Params>,
  };
  enum { kMomentumBuffer };
  static constexpr std::array kStates{State{"momentum_buffer", true}};
  static bool keeps(int, const Params& p) { return p.momentum != 0; }

  static Coefficients coefficients(const Params& p, std::int64_t t, double batch_weight) {
    const double share = t == 1 ? 1 : 1 - p.dampening, decay = decay_in(p.form, p.weight_decay, batch_weight);
    if (p.form == UpdateForm::kSklearn && p.momentum != 0)
      return {-1, p.momentum, -p.lr * share, -p.lr, decay, p.nesterov};
    return {p.lr, p.momentum, share, 1, decay, p.nesterov};
  }
  explicit Sgd(const Coefficients& c)
      : lr(Vec<T>::set(static_cast<T>(c.lr))),
        momentum(Vec<T>::set(static_cast<T>(c.momentum))),
        share(Vec<T>::set(static_cast<T>(c.share))),
        direct(Vec<T>::set(static_cast<T>(c.direct))),
        decay(Vec<T>::set(static_cast<T>(c.decay))),
        nesterov(c.nesterov) {}

  template <class S>
  Vec<T> update(Vec<T> w, Vec<T> g, S& state) const {
    g = fma(decay, w, g);
    if constexpr (S::has(kMomentumBuffer)) {
      auto& velocity = state[kMomentumBuffer];
      velocity = fma(momentum, velocity, share * g);
      g = nesterov ? fma(momentum, velocity, direct * g) : velocity;
    }
    return w - lr * g;
  }

  Vec<T> lr, momentum, share, direct, decay;
  bool nesterov;
};

}  // namespace fastnn::optimizers
