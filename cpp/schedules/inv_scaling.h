// scikit-learn's "invscaling": base / (n + 1)^power_t, where n is the number of rows trained on before the present epoch,
// each counted in every epoch. Outside of fit there are no epochs, and the rate changes after each step.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "core/elementary.h"
#include "schedules/schedule.h"

namespace fastnn::schedules {

struct InvScalingParams {
  double lr = kOwnRate, power_t = 0.5;
};

struct InvScaling {
  using Params = InvScalingParams;
  static constexpr std::array kFields{
      kLr<Params>,
      field<&Params::power_t>("power_t", "power of the number of rows", tries(0.25)),
  };
  explicit InvScaling(const Params& p) : exponent(p.power_t) {}
  double rate(double base, const Clock& clock) const {
    return base / power(static_cast<double>(clock.position.rows) + 1, exponent);
  }
  double exponent;
};

}  // namespace fastnn::schedules
