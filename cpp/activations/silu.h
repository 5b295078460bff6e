// silu(z) = z s(z) with the logistic function s, also called swish (Elfwing, Uchibe and Doya 2018).
// f' = s + z s (1 - s), in which 1 - s is computed as s(-z), because the difference would lose the right tail.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "activations/activation.h"
#include "core/simd_math.h"

namespace fastnn::activations {

template <class T>
struct Silu {
  static constexpr Needs kNeeds = Needs::kInput;

  Vec<T> f(Vec<T> z) const { return z * sigmoid(z); }
  Vec<T> df(Vec<T> z) const {
    const auto [s, rest] = sigmoid_sides(z);
    return fma(s * rest, z, s);
  }
};

}  // namespace fastnn::activations
