// celu(z) = z for z > 0, alpha (exp(z / alpha) - 1) otherwise: elu with a derivative that is continuous for every alpha
// (Barron 2017).
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <algorithm>
#include <array>
#include <limits>

#include "activations/activation.h"
#include "core/simd_math.h"

namespace fastnn::activations {

struct CeluParams {
  double alpha = 1;
};

template <class T>
struct Celu {
  using Params = CeluParams;
  static constexpr Needs kNeeds = Needs::kInput;
  static constexpr std::array kFields{
      field<&Params::alpha>("alpha", above(0), "minus the limit of the function in the left tail", tries(0.6))};
  // The reciprocal of an alpha that is zero in T would be infinite, and its product with zero not a number.
  explicit Celu(const Params& p)
      : alpha(Vec<T>::set(static_cast<T>(p.alpha))),
        inverse(Vec<T>::set(static_cast<T>(1 / std::max(p.alpha, double{std::numeric_limits<T>::min()})))) {}

  Vec<T> f(Vec<T> z) const { return select(less(Vec<T>::zero(), z), z, alpha * expm1(inverse * below(z))); }
  Vec<T> df(Vec<T> z) const { return select(less(Vec<T>::zero(), z), Vec<T>::set(1), exp(inverse * below(z))); }

  Vec<T> alpha, inverse;

 private:
  static Vec<T> below(Vec<T> z) { return min(z, Vec<T>::zero()); }
};

}  // namespace fastnn::activations
