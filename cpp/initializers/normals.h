// Normal distributions: with a given mean and standard deviation, or cut off as Keras cuts off LeCun's.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <array>
#include <cmath>

#include "core/normal.h"
#include "initializers/initializer.h"

namespace fastnn::initializers {

template <class T>
void normal(Matrix<T> to, double mean, double std, PhiloxStream& words) {
  each(to, [&] { return mean + std * normal_of(words.next()); });
}

struct NormalParams {
  double mean = 0, std = 1;
};

struct Normal {
  using Params = NormalParams;
  static constexpr std::array kFields{
      field<&Params::mean>("mean", within(-1e37, 1e37), "mean", tries(0.5)),
      field<&Params::std>("std", within(0, 1e37), "standard deviation", tries(0.1)),
  };
  explicit Normal(const Params& p) : params(p) {}
  template <class T>
  void fill(Matrix<T> to, Fans, PhiloxStream& words) const {
    normal(to, params.mean, params.std, words);
  }
  Params params;
};

// The normal distribution of variance 1 / in, without what is further away than twice the standard deviation that it
// had before it was cut off (LeCun et al. 1998; Keras' lecun_normal).
struct LecunNormal {
  static constexpr bool kNeedsFans = true, kForVectors = false;
  template <class T>
  void fill(Matrix<T> to, Fans fans, PhiloxStream& words) const {
    constexpr double kInside = 0.95449973610364158;  // the probability of (-2, 2)
    constexpr double kStd = 0.87962566103423978;     // the standard deviation of what remains
    const double std = std::sqrt(1 / static_cast<double>(fans.in)) / kStd;
    each(to, [&] { return std * normal_of(words.next(), kInside); });
  }
};

}  // namespace fastnn::initializers
