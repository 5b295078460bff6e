// torch's StepLR: the rate is multiplied by gamma after every `step_size`.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <cmath>

#include "core/elementary.h"
#include "schedules/schedule.h"

namespace fastnn::schedules {

struct StepParams {
  double lr = kOwnRate;
  Index step_size = 30;
  double gamma = 0.1;
  Index warmup = 0;
  double warmup_factor = kWarmupFactor;
  By by = By::kStep;
};

struct Step {
  using Params = StepParams;
  static constexpr std::array kFields{
      kLr<Params>,
      field<&Params::step_size>("step_size", at_least(1), "how long a rate lasts", tries(4)),
      field<&Params::gamma>("gamma", at_least(0), "factor of the rate after each step", tries(0.7)),
      kWarmup<Params>,
      kWarmupFrom<Params>,
      kBy<Params>,
  };
  explicit Step(const Params& p) : size(static_cast<double>(p.step_size)), gamma(p.gamma) {}
  double rate(double base, double t, double) const { return base * power(gamma, std::floor(t / size)); }
  double size, gamma;
};

}  // namespace fastnn::schedules
