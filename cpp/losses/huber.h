// Huber loss of the error e = out - target: e^2 / 2 for |e| <= delta, and delta (|e| - delta / 2) beyond, so that the
// gradient is the error, limited to [-delta, delta] (Huber 1964).
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <array>

#include "losses/elementwise.h"

namespace fastnn::losses {

struct HuberParams {
  Reduction reduction = Reduction::kMean;
  double delta = 1;
};

template <class T>
struct Huber : Elementwise<T, Huber<T>> {
  using Params = HuberParams;
  static constexpr std::array kFields{
      kReductionOverOutputs<Params>,
      field<&Params::delta>("delta", above(0), "size of the error from which on the loss is linear", tries(0.4))};
  explicit Huber(const Params& p) : delta(Vec<T>::set(static_cast<T>(p.delta))) {}

  Vec<T> value(Vec<T> z, Vec<T> t) const {
    const auto e = abs(z - t), half = Vec<T>::set(T(0.5));
    return select(less(delta, e), delta * (e - half * delta), half * e * e);
  }
  Vec<T> gradient(Vec<T> z, Vec<T> t) const { return max(min(z - t, delta), -delta); }

  Vec<T> delta;
};

}  // namespace fastnn::losses
