// hardtanh(z) = z, limited to [min_val, max_val]; the derivative at the ends is 0, as in torch.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <array>

#include "activations/activation.h"

namespace fastnn::activations {

struct HardtanhParams {
  double min_val = -1, max_val = 1;
};

template <class T>
struct Hardtanh {
  using Params = HardtanhParams;
  static constexpr Needs kNeeds = Needs::kOutput;
  static constexpr std::array kFields{
      field<&Params::min_val>("min_val", "smallest value", tries(-0.4)),
      field<&Params::max_val>("max_val", above_field("min_val"), "largest value", tries(0.7))};
  explicit Hardtanh(const Params& p)
      : lowest(Vec<T>::set(static_cast<T>(p.min_val))), highest(Vec<T>::set(static_cast<T>(p.max_val))) {}

  Vec<T> f(Vec<T> z) const { return max(min(z, highest), lowest); }
  Vec<T> df(Vec<T> a) const {
    const auto zero = Vec<T>::zero();
    return select(less(lowest, a), select(less(a, highest), Vec<T>::set(1), zero), zero);
  }

  Vec<T> lowest, highest;
};

}  // namespace fastnn::activations
