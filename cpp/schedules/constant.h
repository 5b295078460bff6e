// torch's ConstantLR: the rate times a factor for a while, and then the rate.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "schedules/schedule.h"

namespace fastnn::schedules {

struct ConstantParams {
  double lr = kOwnRate, factor = 1.0 / 3;
  Index total_iters = 5;
  Index warmup = 0;
  double warmup_factor = kWarmupFactor;
  By by = By::kStep;
};

struct Constant {
  using Params = ConstantParams;
  static constexpr std::array kFields{
      kLr<Params>,
      field<&Params::factor>("factor", within(0, 1), "factor of the rate at the beginning", tries(0.2)),
      field<&Params::total_iters>("total_iters", "how long the factor lasts", tries(7)),
      kWarmup<Params>,
      kWarmupFrom<Params>,
      kBy<Params>,
  };
  explicit Constant(const Params& p) : factor(p.factor), total(static_cast<double>(p.total_iters)) {}
  double rate(double base, double t, double) const { return t < total ? base * factor : base; }
  double factor, total;
};

}  // namespace fastnn::schedules
