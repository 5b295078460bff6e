// (p - t)^2: the sums of the mean squared error, of its root, and of what R2 leaves unexplained.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "metrics/errors.h"

namespace fastnn::metrics {

struct SquaredError : Errors<SquaredError> {
  static Vec<double> of(Vec<double> p, Vec<double> t) { return (t - p) * (t - p); }
};

}  // namespace fastnn::metrics
