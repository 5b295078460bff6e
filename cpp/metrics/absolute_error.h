// |p - t|: the sums of the mean absolute error.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "metrics/errors.h"

namespace fastnn::metrics {

struct AbsoluteError : Errors<AbsoluteError> {
  static Vec<double> of(Vec<double> p, Vec<double> t) { return abs(t - p); }
};

}  // namespace fastnn::metrics
