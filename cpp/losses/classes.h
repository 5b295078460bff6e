// What losses of classes have in common: which outputs are right, and the weights of classes.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "kernels/reduce.h"
#include "losses/loss.h"

namespace fastnn::losses {

// The sum of the weights of the rows whose label, or first largest target, is the column of their first largest output.
template <class T>
double right_classes(ConstMatrix<T> out, const Targets<T>& targets, const T* weights) noexcept {
  double sum = 0;
  kernels::each_first_largest(out, [&](Index r, Index said) {
    const Index label = targets.classes ? targets.classes[r] : kernels::first_largest(targets.dense.row(r), out.cols);
    const double weight = weights ? static_cast<double>(weights[r]) : 1.0;
    sum += said == label ? weight : 0;
  });
  return sum;
}

template <class P>
inline constexpr Field kClassWeights = field<&P::weight>(
    "weight", at_least(0), kPerOutput,
    "weights of the classes: a mean divides by the sum of those of the rows' classes", tries(2, 0.5, 1.25));

}  // namespace fastnn::losses
