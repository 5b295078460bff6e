// torch's CosineAnnealingLR, eta_min + (base - eta_min) (1 + cos(pi t / T_max)) / 2 (Loshchilov and Hutter 2017): after
// T_max the rate rises again.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "core/elementary.h"
#include "schedules/schedule.h"

namespace fastnn::schedules {

struct CosineAnnealingParams {
  double lr = kOwnRate, T_max = kWholeFit, eta_min = 0;
  Index warmup = 0;
  double warmup_factor = kWarmupFactor;
  By by = By::kStep;
};

struct CosineAnnealing {
  using Params = CosineAnnealingParams;
  static constexpr std::array kFields{
      kLr<Params>,
      field<&Params::T_max>("T_max", at_least(1), "half a period; None: the fit", tries(6)),
      field<&Params::eta_min>("eta_min", at_least(0), "the smallest rate", tries(0.001)),
      kWarmup<Params>,
      kWarmupFrom<Params>,
      kBy<Params>,
  };
  static constexpr auto kLength = &Params::T_max;
  explicit CosineAnnealing(const Params& p) : lowest(p.eta_min) {}
  double rate(double base, double t, double length) const { return annealed(base, lowest, t / length); }
  // From `start` to `end` along half a period of the cosine, as `share` goes from 0 to 1.
  static double annealed(double start, double end, double share) {
    return end + (start - end) * (1 + cos_pi(share)) / 2;
  }
  double lowest;
};

}  // namespace fastnn::schedules
