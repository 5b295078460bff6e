// Adagrad with torch's rules: s += g^2; step along g / (sqrt(s) + eps), with a learning rate that falls as
// lr / (1 + (t - 1) lr_decay) over the updates t = 1, 2, ... of the parameter.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <algorithm>
#include <array>
#include <limits>

#include "optimizers/optimizer.h"

namespace fastnn::optimizers {

struct AdagradParams {
  double lr = 1e-2, lr_decay = 0, weight_decay = 0, initial_accumulator_value = 0, eps = 1e-10, l1 = 0;
};
struct AdagradCoefficients {
  double lr, decay, start, eps;
};

template <class T>
struct Adagrad {
  using Params = AdagradParams;
  using Coefficients = AdagradCoefficients;
  static constexpr std::array kFields{
      kLr<Params>,
      field<&Params::lr_decay>("lr_decay", at_least(0), "how fast the learning rate falls", tries(0.3)),
      kWeightDecay<Params>,
      field<&Params::initial_accumulator_value>("initial_accumulator_value", at_least(0),
                                                "where the sum of squares starts", tries(0.3)),
      field<&Params::eps>("eps", at_least(0), "added to the root of the sum of squares", tries(3e-7)),
      kL1<Params>,
  };
  enum { kSum };
  static constexpr std::array kStates{State{"sum"}};
  // States start as zeros, so the initial value joins the sum in the first update.
  static Coefficients coefficients(const Params& p, std::int64_t t) {
    const double fallen = p.lr / (1 + static_cast<double>(t - 1) * p.lr_decay);
    return {fallen, p.weight_decay, t == 1 ? p.initial_accumulator_value : 0, p.eps};
  }
  explicit Adagrad(const Coefficients& c)
      : lr(set(c.lr)),
        decay(set(c.decay)),
        start(set(c.start)),
        eps(Vec<T>::set(std::max(static_cast<T>(c.eps), std::numeric_limits<T>::min()))) {}
  template <class S>
  Vec<T> update(Vec<T> w, Vec<T> g, S& state) const {
    g = fma(decay, w, g);
    auto& sum = state[kSum];
    sum = fma(g, g, sum + start);
    return w - lr * (g / (sqrt(sum) + eps));
  }
  Vec<T> lr, decay, start, eps;

 private:
  static Vec<T> set(double value) { return Vec<T>::set(static_cast<T>(value)); }
};

}  // namespace fastnn::optimizers
