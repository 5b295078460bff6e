// torch's LinearLR: the factor of the rate changes linearly from `start_factor` to `end_factor`, and stays there.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <algorithm>

#include "schedules/schedule.h"

namespace fastnn::schedules {

struct LinearParams {
  double lr = kOwnRate, start_factor = kWarmupFactor, end_factor = 1;
  Index total_iters = 5;
  Index warmup = 0;
  double warmup_factor = kWarmupFactor;
  By by = By::kStep;
};

struct Linear {
  using Params = LinearParams;
  static constexpr std::array kFields{
      kLr<Params>,
      field<&Params::start_factor>("start_factor", at_least(0), "factor of the rate at the beginning", tries(0.2)),
      field<&Params::end_factor>("end_factor", at_least(0), "factor of the rate at the end", tries(0.6)),
      field<&Params::total_iters>("total_iters", at_least(1), "how long the factor changes", tries(7)),
      kWarmup<Params>,
      kWarmupFrom<Params>,
      kBy<Params>,
  };
  explicit Linear(const Params& p)
      : start(p.start_factor), end(p.end_factor), total(static_cast<double>(p.total_iters)) {}
  double rate(double base, double t, double) const {
    return base * (start + (end - start) * std::min(t, total) / total);
  }
  double start, end, total;
};

}  // namespace fastnn::schedules
