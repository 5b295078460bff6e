// The rates themselves, each for one step or epoch; the last one stays. They are multiplied by `lr`, so that parameters
// whose group has a rate of its own have a multiple of them.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "schedules/schedule.h"

namespace fastnn::schedules {

struct ArrayParams {
  static constexpr double kOne[] = {1};
  Reals values{kOne, 1};
  double lr = 1;
  Index warmup = 0;
  double warmup_factor = kWarmupFactor;
  By by = By::kStep;
};

struct Array {
  using Params = ArrayParams;
  static constexpr std::array kFields{
      field<&Params::values>("values", at_least(0), "the rates", tries(0.1, 0.05, 0.01)),
      field<&Params::lr>("lr", at_least(0), "what they are multiplied by", tries(0.5)),
      kWarmup<Params>,
      kWarmupFrom<Params>,
      kBy<Params>,
  };
  explicit Array(const Params& p) : values(p.values) {}
  double rate(double base, double t, double) const {
    const auto last = values.size - 1;
    return base * values.data[t < static_cast<double>(last) ? static_cast<std::size_t>(t) : last];
  }
  Reals values;
};

}  // namespace fastnn::schedules
