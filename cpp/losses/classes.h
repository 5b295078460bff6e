// What losses of classes have in common: which outputs are right, and the weights of classes.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "losses/loss.h"

namespace fastnn::losses {

// Is `label` the index of the first largest output?
template <class T>
double right_class(const T* out, std::int32_t label, Index k) {
  const T at_label = out[label];
  Index before = 0;  // number of outputs because of which the label is not the first largest one
  for (Index j = 0; j < label; ++j) before += out[j] < at_label ? 0 : 1;
  for (Index j = label + 1; j < k; ++j) before += out[j] > at_label ? 1 : 0;
  return before == 0 ? 1 : 0;
}

template <class P>
inline constexpr Field kClassWeights = field<&P::weight>(
    "weight", at_least(0), kPerOutput,
    "weights of the classes: a mean divides by the sum of those of the rows' classes", tries(2, 0.5, 1.25));

}  // namespace fastnn::losses
