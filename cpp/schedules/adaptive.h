// scikit-learn's "adaptive": the rate is divided by `factor` after more than n_iter_no_change epochs in a row whose training
// loss was not below the smallest one by `tol`. A rate of at most min_lr stays as it is. The end of the training, which
// scikit-learn has there, is not part of it.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <algorithm>

#include "schedules/schedule.h"

namespace fastnn::schedules {

struct AdaptiveParams {
  double lr = kOwnRate, tol = 1e-4;
  Index n_iter_no_change = 10;
  double factor = 5, min_lr = 1e-6;
};

struct Adaptive {
  using Params = AdaptiveParams;
  static constexpr std::array kFields{
      kLr<Params>,
      field<&Params::tol>("tol", at_least(0), "a loss counts if it is smaller by more than this", tries(0.1)),
      field<&Params::n_iter_no_change>("n_iter_no_change", "how many epochs the loss may fail to become smaller",
                                       tries(2)),
      field<&Params::factor>("factor", above(1), "divisor of the rate", tries(2)),
      field<&Params::min_lr>("min_lr", at_least(0), "a rate that is not larger stays as it is", tries(0.02)),
  };
  explicit Adaptive(const Params& given) : p(given) {}
  double rate(double base, const Clock& clock) const {
    for (std::int64_t k = 0; k < clock.position.reduced && base > p.min_lr; ++k) base /= p.factor;
    return base;
  }
  void epoch_end(Position& position, double loss) const {
    position.waited = loss > position.best - p.tol ? position.waited + 1 : 0;
    position.best = std::min(position.best, loss);
    if (position.waited <= static_cast<std::int64_t>(p.n_iter_no_change)) return;
    position.waited = 0;
    ++position.reduced;
  }
  Params p;
};

}  // namespace fastnn::schedules
