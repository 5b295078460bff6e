// torch's PolynomialLR: base (1 - t / total_iters)^power, and 0 from total_iters on.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <algorithm>

#include "core/elementary.h"
#include "schedules/schedule.h"

namespace fastnn::schedules {

struct PolynomialParams {
  double lr = kOwnRate, total_iters = kWholeFit, power = 1;
  Index warmup = 0;
  double warmup_factor = kWarmupFactor;
  By by = By::kStep;
};

struct Polynomial {
  using Params = PolynomialParams;
  static constexpr std::array kFields{
      kLr<Params>,
      field<&Params::total_iters>("total_iters", at_least(1), "when the rate is zero; None: at the end of the fit",
                                  tries(9)),
      field<&Params::power>("power", at_least(0), "power of the time that is left", tries(2.5)),
      kWarmup<Params>,
      kWarmupFrom<Params>,
      kBy<Params>,
  };
  static constexpr auto kLength = &Params::total_iters;
  explicit Polynomial(const Params& p) : exponent(p.power) {}
  double rate(double base, double t, double length) const {
    return base * power(1 - std::min(t, length) / length, exponent);
  }
  double exponent;
};

}  // namespace fastnn::schedules
