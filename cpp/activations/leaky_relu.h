// leaky_relu(z) = z for z > 0, negative_slope z otherwise; f'(0) = negative_slope as in torch.
// The backward pass needs the input: if the slope is negative, the sign of the output is not that of the input.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <array>

#include "activations/activation.h"

namespace fastnn::activations {

struct LeakyReluParams {
  double negative_slope = 0.01;
};

template <class T>
struct LeakyRelu {
  using Params = LeakyReluParams;
  static constexpr Needs kNeeds = Needs::kInput;
  static constexpr std::array kFields{
      field<&Params::negative_slope>("negative_slope", "slope for negative inputs", tries(0.3))};
  explicit LeakyRelu(const Params& p) : slope(Vec<T>::set(static_cast<T>(p.negative_slope))) {}

  Vec<T> f(Vec<T> z) const { return select(less(Vec<T>::zero(), z), z, slope * z); }
  Vec<T> df(Vec<T> z) const { return select(less(Vec<T>::zero(), z), Vec<T>::set(1), slope); }

  Vec<T> slope;
};

}  // namespace fastnn::activations
