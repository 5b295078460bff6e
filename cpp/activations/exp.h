// exp(z), with f' = f. Above 88.7 in float and 709.8 in double it is infinite.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "activations/activation.h"
#include "core/simd_math.h"

namespace fastnn::activations {

template <class T>
struct Exp {
  static constexpr Needs kNeeds = Needs::kOutput;

  Vec<T> f(Vec<T> z) const { return exp(z); }
  Vec<T> df(Vec<T> a) const { return a; }
};

}  // namespace fastnn::activations
