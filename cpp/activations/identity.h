// identity(z) = z, for places where an activation is required.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "activations/activation.h"

namespace fastnn::activations {

template <class T>
struct Identity {
  static constexpr Needs kNeeds = Needs::kOutput;

  Vec<T> f(Vec<T> z) const { return z; }
  Vec<T> df(Vec<T>) const { return Vec<T>::set(1); }
};

}  // namespace fastnn::activations
