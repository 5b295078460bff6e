// torch's ExponentialLR: the rate is multiplied by gamma each time.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "core/elementary.h"
#include "schedules/schedule.h"

namespace fastnn::schedules {

struct ExponentialParams {
  double lr = kOwnRate, gamma = 0.95;
  Index warmup = 0;
  double warmup_factor = kWarmupFactor;
  By by = By::kStep;
};

struct Exponential {
  using Params = ExponentialParams;
  static constexpr std::array kFields{
      kLr<Params>,     field<&Params::gamma>("gamma", at_least(0), "factor of the rate each time", tries(0.7)),
      kWarmup<Params>, kWarmupFrom<Params>,
      kBy<Params>,
  };
  explicit Exponential(const Params& p) : gamma(p.gamma) {}
  double rate(double base, double t, double) const { return base * power(gamma, t); }
  double gamma;
};

}  // namespace fastnn::schedules
