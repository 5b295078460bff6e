// leaky_relu(z) = z for z > 0, negative_slope z otherwise; f'(0) = negative_slope as in torch.
// Backward looks at the input: with a negative slope the output does not tell the sign.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <array>

#include "activations/activation.h"

namespace fastnn::activations {

template <class T>
struct LeakyRelu {
  static constexpr Needs kNeeds = Needs::kInput;
  static constexpr std::array<Hyper, 1> kHypers{
      {{.name = "negative_slope", .value = 0.01, .doc = "slope for negative inputs"}}};
  explicit LeakyRelu(const double* hyper) : slope(Vec<T>::set(static_cast<T>(hyper[0]))) {}

  Vec<T> f(Vec<T> z) const { return select(less(Vec<T>::zero(), z), z, slope * z); }
  Vec<T> df(Vec<T> z) const { return select(less(Vec<T>::zero(), z), Vec<T>::set(1), slope); }

  Vec<T> slope;
};

}  // namespace fastnn::activations
