// Lists of numbers among a loss's parameters, one number for each output, as vectors.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <algorithm>

#include "core/row.h"
#include "core/simd.h"

namespace fastnn::losses {

// The numbers of outputs c, c + 1, ...; zero beyond the last one.
template <class T>
Vec<T> lanes_of(Reals list, Index c) {
  alignas(kAlign) T lanes[Vec<T>::kLanes] = {};
  const Index count = std::clamp<Index>(static_cast<Index>(list.size) - c, 0, Vec<T>::kLanes);
  for (Index i = 0; i < count; ++i) lanes[i] = static_cast<T>(list.data[c + i]);
  return Vec<T>::load(lanes);
}

// The lane of output `at` in the vector of outputs c, c + 1, ..., if it is there.
template <class T>
Mask<T> lane_of(Index at, Index c) {
  return less(abs(Vec<T>::counting() - Vec<T>::set(static_cast<T>(at - c))), Vec<T>::set(T(0.5)));
}

}  // namespace fastnn::losses
