// The backward pass of links that are exp, from the predictions p = exp(out).
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "core/simd.h"

namespace fastnn::losses {

// grad *= p; the padding columns of p are zero, and so are those of grad.
template <class T>
void exp_link_backward(const T* p, T* grad, Index k) {
  for (Index c = 0; c < k; c += Vec<T>::kLanes) (Vec<T>::load(grad + c) * Vec<T>::load(p + c)).store(grad + c);
}

}  // namespace fastnn::losses
