// torch's OneCycleLR (Smith and Topin 2018): the rate rises from max_lr / div_factor to max_lr and falls to the first rate
// divided by final_div_factor, while the momentum, or beta1 of Adam, goes the opposite way. The first phase ends at
// pct_start total_steps - 1; with three phases, the second one returns to the first rate in as many steps.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <algorithm>

#include "schedules/cosine_annealing.h"
#include "schedules/schedule.h"

namespace fastnn::schedules {

enum class Anneal { kCos, kLinear };

struct OneCycleParams {
  double lr = kOwnRate, total_steps = kWholeFit, pct_start = 0.3;
  Anneal anneal_strategy = Anneal::kCos;
  bool cycle_momentum = true;
  double base_momentum = 0.85, max_momentum = 0.95, div_factor = 25, final_div_factor = 1e4;
  bool three_phase = false;
  Index warmup = 0;
  double warmup_factor = kWarmupFactor;
  By by = By::kStep;
};

struct OneCycle {
  using Params = OneCycleParams;
  static constexpr std::array kFields{
      field<&Params::lr>("max_lr", at_least(0), "the largest rate; None: the optimizer's default", tries(0.03)),
      field<&Params::total_steps>("total_steps", at_least(1), "length of the cycle; None: the fit", tries(12)),
      field<&Params::pct_start>("pct_start", within(0, 1), "share of the cycle in which the rate rises", tries(0.4)),
      field<&Params::anneal_strategy>("anneal_strategy", choices("cos", "linear"), "form of the rise and of the fall"),
      field<&Params::cycle_momentum>("cycle_momentum", "whether to change momentum, or beta1"),
      field<&Params::base_momentum>("base_momentum", within(0, 1), "momentum at the largest rate", tries(0.7)),
      field<&Params::max_momentum>("max_momentum", within(0, 1), "momentum at the beginning and at the end",
                                   tries(0.9)),
      field<&Params::div_factor>("div_factor", above(0), "the first rate is max_lr divided by it", tries(10)),
      field<&Params::final_div_factor>("final_div_factor", above(0), "the last rate is the first one divided by it",
                                       tries(100)),
      field<&Params::three_phase>("three_phase", "whether to return to the first rate before the last fall"),
      kWarmup<Params>,
      kWarmupFrom<Params>,
      kBy<Params>,
  };
  static constexpr auto kLength = &Params::total_steps;
  explicit OneCycle(const Params& given) : p(given) {}
  bool cycles() const { return p.cycle_momentum; }
  double rate(double base, double t, double length) const {
    const double first = base / p.div_factor, last = first / p.final_div_factor;
    return of_phase(t, length, {first, base}, {base, p.three_phase ? first : last}, {first, last});
  }
  double momentum(double t, double length) const {
    const double low = p.base_momentum, high = p.max_momentum;
    return of_phase(t, length, {high, low}, {low, high}, {high, high});
  }

  Params p;

 private:
  struct Ends {
    double start, end;
  };
  double of_phase(double t, double length, Ends rise, Ends fall, Ends tail) const {
    const double top = p.pct_start * length - 1, last = length - 1;
    if (t <= top) return between(rise, share(t, 0, top));
    const double middle = p.three_phase ? 2 * p.pct_start * length - 2 : last;
    if (t <= middle || !p.three_phase) return between(fall, share(t, top, middle));
    return between(tail, share(t, middle, last));
  }
  static double share(double t, double from, double to) {
    return to > from ? std::min(1.0, (t - from) / (to - from)) : 1;
  }
  double between(Ends ends, double share) const {
    if (p.anneal_strategy == Anneal::kLinear) return (ends.end - ends.start) * share + ends.start;
    return CosineAnnealing::annealed(ends.start, ends.end, share);
  }
};

}  // namespace fastnn::schedules
