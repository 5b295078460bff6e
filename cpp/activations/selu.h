// selu(z) = scale z for z > 0, scale alpha (exp(z) - 1) otherwise, with the two numbers for which activations of mean 0
// and variance 1 keep them (Klambauer, Unterthiner, Mayr and Hochreiter 2017).
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "activations/activation.h"
#include "core/simd_math.h"

namespace fastnn::activations {

template <class T>
struct Selu {
  static constexpr Needs kNeeds = Needs::kInput;
  static constexpr double kAlpha = 1.6732632423543772848170429916717, kScale = 1.0507009873554804934193349852946;

  Vec<T> f(Vec<T> z) const {
    const auto zero = Vec<T>::zero();
    return select(less(zero, z), right() * z, left() * expm1(min(z, zero)));
  }
  Vec<T> df(Vec<T> z) const {
    const auto zero = Vec<T>::zero();
    return select(less(zero, z), right(), left() * exp(min(z, zero)));
  }

 private:
  static Vec<T> right() { return Vec<T>::set(static_cast<T>(kScale)); }
  static Vec<T> left() { return Vec<T>::set(static_cast<T>(kScale * kAlpha)); }
};

}  // namespace fastnn::activations
