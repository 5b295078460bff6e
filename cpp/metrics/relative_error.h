// |p - t| / |t|: the sums of the mean absolute percentage error. As in scikit-learn, |t| counts as the distance of 1 and
// the next double if it is smaller, so that the figure is huge where a target is zero.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <limits>

#include "metrics/errors.h"

namespace fastnn::metrics {

struct RelativeError : Errors<RelativeError> {
  static Vec<double> of(Vec<double> p, Vec<double> t) {
    return abs(t - p) / max(abs(t), Vec<double>::set(std::numeric_limits<double>::epsilon()));
  }
};

}  // namespace fastnn::metrics
