// |p - t|: the sums of the mean absolute error.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <cmath>

#include "metrics/errors.h"

namespace fastnn::metrics {

struct AbsoluteError : Errors<AbsoluteError> {
  static double of(double p, double t) { return std::abs(t - p); }
};

}  // namespace fastnn::metrics
