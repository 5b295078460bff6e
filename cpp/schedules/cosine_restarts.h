// torch's CosineAnnealingWarmRestarts: half a period of the cosine, again and again; the first takes T_0, and each one
// T_mult times as long as the one before (Loshchilov and Hutter 2017).
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <cmath>

#include "schedules/cosine_annealing.h"
#include "schedules/schedule.h"

namespace fastnn::schedules {

struct CosineRestartsParams {
  double lr = kOwnRate;
  Index T_0 = 10, T_mult = 1;
  double eta_min = 0;
  Index warmup = 0;
  double warmup_factor = kWarmupFactor;
  By by = By::kStep;
};

struct CosineRestarts {
  using Params = CosineRestartsParams;
  static constexpr std::array kFields{
      kLr<Params>,
      field<&Params::T_0>("T_0", at_least(1), "length until the first restart", tries(4)),
      field<&Params::T_mult>("T_mult", at_least(1), "by how much each length is longer than the one before", tries(2)),
      field<&Params::eta_min>("eta_min", at_least(0), "the smallest rate", tries(0.001)),
      kWarmup<Params>,
      kWarmupFrom<Params>,
      kBy<Params>,
  };
  explicit CosineRestarts(const Params& p)
      : first(static_cast<double>(p.T_0)), growth(static_cast<double>(p.T_mult)), lowest(p.eta_min) {}
  double rate(double base, double t, double) const {
    double length = first;
    if (growth == 1) t -= std::floor(t / length) * length;
    for (; t >= length; length *= growth) t -= length;
    return CosineAnnealing::annealed(base, lowest, t / length);
  }
  double first, growth, lowest;
};

}  // namespace fastnn::schedules
