// Sample weights from the weights of classes.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <algorithm>
#include <cmath>
#include <span>

#include "core/buffer.h"
#include "kernels/gather.h"

namespace fastnn::run {

// table[the class of the row], times weights[row] where there are weights; labels and weights have been checked.
// only_ratios: both factors are first divided by a power of two, that of the largest of them, so that products of very
// large or very small numbers stay numbers.
inline Buffer<double> weights_of_classes(const kernels::Source& labels, std::span<const double> table,
                                         const kernels::Source& weights, bool only_ratios) {
  const auto exponent_of = [](double largest) {
    int exponent = 0;
    std::frexp(largest, &exponent);
    return exponent;
  };
  Buffer<double> product(labels.rows);
  double largest = 0;
  for (Index r = 0; r < labels.rows; ++r) {
    product[r] = table[static_cast<std::size_t>(kernels::element(labels, r, 0))];
    largest = std::max(largest, product[r]);
  }
  if (!weights) return product;
  const int own = only_ratios ? exponent_of(largest) : 0;
  const int its = only_ratios ? exponent_of(kernels::extent(weights, {}, labels.rows).size) : 0;
  for (Index r = 0; r < labels.rows; ++r)
    product[r] = std::ldexp(product[r], -own) * std::ldexp(kernels::element(weights, r, 0), -its);
  return product;
}

}  // namespace fastnn::run
