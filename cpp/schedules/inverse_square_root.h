// base / sqrt(1 + t / timescale). After a warm-up of w steps and with a timescale of w, that is base sqrt(w / t) with t from
// the beginning, as in Vaswani et al. 2017.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <cmath>

#include "schedules/schedule.h"

namespace fastnn::schedules {

struct InverseSquareRootParams {
  double lr = kOwnRate, timescale = 10000;
  Index warmup = 0;
  double warmup_factor = kWarmupFactor;
  By by = By::kStep;
};

struct InverseSquareRoot {
  using Params = InverseSquareRootParams;
  static constexpr std::array kFields{
      kLr<Params>,
      field<&Params::timescale>("timescale", above(0), "time after which the rate is base / sqrt(2)", tries(5)),
      kWarmup<Params>,
      kWarmupFrom<Params>,
      kBy<Params>,
  };
  explicit InverseSquareRoot(const Params& p) : timescale(p.timescale) {}
  double rate(double base, double t, double) const { return base / std::sqrt(1 + t / timescale); }
  double timescale;
};

}  // namespace fastnn::schedules
