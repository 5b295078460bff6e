// torch's MultiStepLR: the rate is multiplied by gamma at each milestone.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <algorithm>

#include "core/elementary.h"
#include "schedules/schedule.h"

namespace fastnn::schedules {

struct MultiStepParams {
  static constexpr double kTwo[] = {30, 80};
  double lr = kOwnRate;
  Reals milestones{kTwo, 2};
  double gamma = 0.1;
  Index warmup = 0;
  double warmup_factor = kWarmupFactor;
  By by = By::kStep;
};

struct MultiStep {
  using Params = MultiStepParams;
  static constexpr std::array kFields{
      kLr<Params>,
      field<&Params::milestones>("milestones", at_least(0), "when the rate changes", tries(3, 8)),
      field<&Params::gamma>("gamma", at_least(0), "factor of the rate at each milestone", tries(0.7)),
      kWarmup<Params>,
      kWarmupFrom<Params>,
      kBy<Params>,
  };
  explicit MultiStep(const Params& p) : milestones(p.milestones), gamma(p.gamma) {}
  double rate(double base, double t, double) const {
    const auto passed = std::ranges::count_if(milestones.all(), [t](double at) { return at <= t; });
    return base * power(gamma, static_cast<double>(passed));
  }
  Reals milestones;
  double gamma;
};

}  // namespace fastnn::schedules
