// What stands in the place of a member if the caller computes the loss: targets are not read and no value is computed.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "losses/elementwise.h"

namespace fastnn::losses {

template <class T>
struct Own : Elementwise<T, Own<T>> {
  static constexpr Mean kMean = Mean::kRows;
  Vec<T> value(Vec<T>, Vec<T>) const { return Vec<T>::zero(); }
  Vec<T> gradient(Vec<T>, Vec<T>) const { return Vec<T>::zero(); }
};

}  // namespace fastnn::losses
