// elu(z) = z for z > 0, alpha (exp(z) - 1) otherwise (Clevert, Unterthiner and Hochreiter 2016); f'(0) = alpha as in
// torch. The backward pass needs the input: from the output, f' = f + alpha would lose its digits in the left tail.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <array>

#include "activations/activation.h"
#include "core/simd_math.h"

namespace fastnn::activations {

struct EluParams {
  double alpha = 1;
};

template <class T>
struct Elu {
  using Params = EluParams;
  static constexpr Needs kNeeds = Needs::kInput;
  static constexpr std::array kFields{
      field<&Params::alpha>("alpha", "minus the limit of the function in the left tail", tries(0.6))};
  explicit Elu(const Params& p) : alpha(Vec<T>::set(static_cast<T>(p.alpha))) {}

  Vec<T> f(Vec<T> z) const {
    const auto zero = Vec<T>::zero();
    return select(less(zero, z), z, alpha * expm1(min(z, zero)));
  }
  Vec<T> df(Vec<T> z) const {
    const auto zero = Vec<T>::zero();
    return select(less(zero, z), Vec<T>::set(1), alpha * exp(min(z, zero)));
  }

  Vec<T> alpha;
};

}  // namespace fastnn::activations
