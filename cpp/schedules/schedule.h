// The contract of a schedule: the learning rate at a time t, counted from 0, in the unit of the schedule's `by`.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <algorithm>
#include <array>

#include "schedules/registry.h"

namespace fastnn::schedules {

enum class By { kStep, kEpoch };

// A member is a struct like this (see step.h):
//   struct PolynomialParams {
//     double lr = kOwnRate, total_iters = kWholeFit, power = 1;
//     Index warmup = 0;
//     double warmup_factor = kWarmupFactor;
//     By by = By::kStep;
//   };
//   struct Polynomial {
//     using Params = PolynomialParams;
//     static constexpr std::array kFields{kLr<Params>, ..., kWarmup<Params>, kWarmupFrom<Params>, kBy<Params>};
//     static constexpr auto kLength = &Params::total_iters;       // if its length may be that of the fit
//     explicit Polynomial(const Params& p);
//     double rate(double base, double t, double length) const;    // length: of the schedule, if it has kLength
//   };
// Where the rate depends on anything but steps or epochs, it is rate(base, clock) (inv_scaling.h). A schedule that sets
// the momentum has `cycles()` and `momentum(t, length)`; one that reads losses has `epoch_end(position, loss)`.

// The base rate that is not given, None in Python: the optimizer's default.
inline constexpr double kOwnRate = std::numeric_limits<double>::infinity();
inline constexpr double kWarmupFactor = 1.0 / 3;  // that of torch's LinearLR

template <class P>
inline constexpr Field kLr =
    field<&P::lr>("lr", at_least(0), "the rate that the schedule changes; None: the optimizer's default", tries(0.03));
template <class P>
inline constexpr Field kWarmup =
    field<&P::warmup>("warmup", "length of a linear warm-up before the schedule, which begins after it", tries(3));
template <class P>
inline constexpr Field kWarmupFrom =
    field<&P::warmup_factor>("warmup_factor", at_least(0), "factor of the first rate with which the warm-up begins");
template <class P>
inline constexpr Field kBy = field<&P::by>("by", choices("step", "epoch"), "what lengths are counted in");

// A moment in the unit of the schedule, and its length where that may be the fit's.
struct Time {
  double t = 0, length = 0;
};

template <class M>
constexpr double own_length(const typename M::Params& p) {
  if constexpr (requires { M::kLength; })
    return p.*M::kLength;
  else
    return 0;
}

// Outside of a fit, the time of a schedule that lasts a fit is 0.
template <class M>
Time time_of(const typename M::Params& p, const Clock& clock) {
  const bool by_epoch = p.by == By::kEpoch;
  const double length = own_length<M>(p);
  if (length != kWholeFit)
    return {static_cast<double>(by_epoch ? clock.position.epochs : clock.position.steps), length};
  constexpr double kUnknown = 1e9;
  const auto [epochs, epoch_steps, epoch, step] = clock.fit;
  if (epochs == 0) return {0, kUnknown};
  const auto t = by_epoch ? epoch : epoch * epoch_steps + step, all = by_epoch ? epochs : epochs * epoch_steps;
  return {static_cast<double>(t), static_cast<double>(std::max<Index>(1, all - p.warmup))};
}

template <class M>
double rate_of(const Values& values, double base, const Clock& clock) {
  const auto p = values.as<typename M::Params>();
  const M member(p);
  if constexpr (requires { member.rate(base, clock); }) {
    return member.rate(base, clock);
  } else {
    const auto [t, length] = time_of<M>(p, clock);
    const auto warmup = static_cast<double>(p.warmup);
    if (t >= warmup) return member.rate(base, t - warmup, length);
    const double share = p.warmup_factor + (1 - p.warmup_factor) * t / warmup;
    return member.rate(base, 0, length) * share;
  }
}

template <class M>
bool cycles_momentum(const Values& values) {
  if constexpr (requires(const M& m) { m.cycles(); })
    return M(values.as<typename M::Params>()).cycles();
  else
    return false;
}

template <class M>
double momentum_of(const Values& values, const Clock& clock) {
  if constexpr (requires(const M& m) { m.cycles(); }) {
    const auto p = values.as<typename M::Params>();
    const auto [t, length] = time_of<M>(p, clock);
    return M(p).momentum(t < static_cast<double>(p.warmup) ? 0 : t - static_cast<double>(p.warmup), length);
  } else {
    return 0;
  }
}

template <class M>
bool needs_fit(const Values& values) {
  return own_length<M>(values.as<typename M::Params>()) == kWholeFit;
}

template <class M>
bool needs_steps(const Values& values) {
  if constexpr (requires { M::kLength; })
    return needs_fit<M>(values) && values.as<typename M::Params>().by == By::kStep;
  else
    return false;
}

template <class M>
void epoch_end(const Values& values, Position& position, double loss) {
  if constexpr (requires(const M& m) { m.epoch_end(position, loss); })
    M(values.as<typename M::Params>()).epoch_end(position, loss);
}

template <class M>
constexpr Row entry(const char* name, const char* class_name, const char* formula) {
  return {row_of<M>(name, class_name, formula),
          rate_of<M>,
          cycles_momentum<M>,
          momentum_of<M>,
          needs_fit<M>,
          needs_steps<M>,
          epoch_end<M>};
}

}  // namespace fastnn::schedules
