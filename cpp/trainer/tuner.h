// Tuner: how many threads a step takes when nobody says so. It tries the candidates on real steps, keeps the fastest
// and tries again now and then: results do not depend on the choice, so it may follow the machine's load.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <algorithm>
#include <array>
#include <limits>

#include "core/types.h"

namespace fastnn::inline FASTNN_ISA::trainer {

class Tuner {
 public:
  // Threads for the next steps, at most `limit`.
  int pick(int limit, double step_flops) {
    if (limit <= 1 || step_flops < kAlwaysOne) return chosen_ = 1;
    if (step_flops > kAlwaysAll) return chosen_ = limit;
    if (limit != limit_) restart(limit);
    return chosen_ = rounds_ < kRounds ? candidate_[at_] : best();
  }
  // How many steps to run before asking again.
  Index steps() const {
    if (limit_ == 0 || rounds_ < kRounds) return kTrialSteps;
    const double seconds = seconds_[best_at()];
    return std::clamp<Index>(static_cast<Index>(0.05 / std::max(seconds, 1e-7)), 1, 1 << 20);
  }
  void record(Index steps, double seconds) {
    if (limit_ == 0 || steps == 0) return;
    if (rounds_ < kRounds) {
      double& kept = seconds_[at_];
      if (trial_steps_ == 0) trial_seconds_ = 0;
      trial_steps_ += steps;
      trial_seconds_ += seconds;
      if (trial_steps_ < kTrialSteps) return;
      kept = std::min(kept, trial_seconds_ / static_cast<double>(trial_steps_));
      trial_steps_ = 0;
      at_ = (at_ + 1) % count_;
      if (at_ == 0) ++rounds_;
      since_ = 0;
    } else if ((since_ += seconds) > kTryAgain) {
      rounds_ = kRounds - 1;
      seconds_.fill(std::numeric_limits<double>::infinity());
    }
  }

 private:
  static constexpr double kAlwaysOne = 3e4;   // flops: less than a barrier costs
  static constexpr double kAlwaysAll = 1e9;   // a trial on one thread would cost more than it can tell
  static constexpr double kTryAgain = 1.0;    // seconds
  static constexpr Index kTrialSteps = 4;
  static constexpr int kRounds = 3;

  void restart(int limit) {
    limit_ = limit;
    count_ = 0;
    for (int n = 1; n < limit && count_ + 1 < candidate_.size(); n *= 2) candidate_[count_++] = n;
    candidate_[count_++] = limit;
    seconds_.fill(std::numeric_limits<double>::infinity());
    at_ = 0, rounds_ = 0, trial_steps_ = 0;
  }
  std::size_t best_at() const {
    return static_cast<std::size_t>(std::min_element(seconds_.begin(), seconds_.begin() + static_cast<Index>(count_)) -
                                    seconds_.begin());
  }
  int best() const { return candidate_[best_at()]; }

  int limit_ = 0, chosen_ = 1, rounds_ = 0;
  std::size_t count_ = 0, at_ = 0;
  std::array<int, 12> candidate_{};
  std::array<double, 12> seconds_{};
  Index trial_steps_ = 0;
  double trial_seconds_ = 0, since_ = 0;
};

}  // namespace fastnn::inline FASTNN_ISA::trainer
