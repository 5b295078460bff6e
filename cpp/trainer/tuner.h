// Tuner: how many threads a step takes when nobody says so. It tries the candidates on real steps, keeps the fastest
// and tries again now and then: results do not depend on the choice, so it may follow the machine's load.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <algorithm>
#include <array>
#include <chrono>

#include "core/types.h"

namespace fastnn::inline FASTNN_ISA::trainer {

inline double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

class Tuner {
 public:
  // Steps that no second thread can help.
  static bool too_small(double step_flops) { return step_flops < kAlwaysOne; }
  // Threads for the next steps, at most `limit`.
  int pick(int limit, double step_flops) {
    settled_ = limit <= 1 || too_small(step_flops) || step_flops > kAlwaysAll;
    if (settled_) return too_small(step_flops) ? 1 : std::max(limit, 1);
    if (limit != limit_ || step_flops != flops_) {
      limit_ = limit;
      flops_ = step_flops;
      list_candidates();
      start_trial();
    }
    return candidate_[trying_ ? at_ : best_].threads;
  }
  // How many steps to run before asking again.
  Index steps() const {
    if (settled_) return 1 << 30;
    return trying_ ? trial_steps()
                   : std::max<Index>(1, static_cast<Index>(kStretch / std::max(candidate_[best_].mean(), 1e-7)));
  }
  void record(Index steps, double seconds) {
    if (settled_ || steps == 0) return;
    if (!trying_) {
      // Much slower than when it was chosen: something else wants the cores now.
      const bool slower = seconds > 2 * candidate_[best_].mean() * static_cast<double>(steps);
      if (slower || (since_ += seconds) > kTryAgain) start_trial();
      return;
    }
    candidate_[at_].add(steps, seconds);
    if ((run_ += steps) < trial_steps()) return;
    run_ = 0;
    at_ = (at_ + 1) % count_;
    if (at_ == 0 && ++rounds_ == kRounds) choose();
  }

 private:
  static constexpr double kAlwaysOne = 3e4;  // flops: less than a barrier costs
  static constexpr double kAlwaysAll = 2e9;  // a trial on one thread would cost more than it can tell
  static constexpr double kTryAgain = 0.5;   // seconds
  static constexpr double kStretch = 0.02;   // seconds between two looks at the clock
  static constexpr double kGain = 0.97;      // more threads have to be this much faster
  static constexpr int kRounds = 3;

  struct Candidate {
    int threads = 1;
    double steps = 0, seconds = 0;
    void add(Index n, double s) { steps += static_cast<double>(n), seconds += s; }
    double mean() const { return steps > 0 ? seconds / steps : 0; }
  };

  // About half a millisecond, so that starting the team does not count: the stretches between trials are long.
  Index trial_steps() const { return std::clamp<Index>(static_cast<Index>(1e7 / flops_), 2, 400); }

  void list_candidates() {
    count_ = 0;
    for (int n = 1; n < limit_ && count_ + 1 < candidate_.size(); n *= 2) candidate_[count_++].threads = n;
    candidate_[count_++].threads = limit_;
  }
  void start_trial() {
    for (auto& c : candidate_) c.steps = c.seconds = 0;
    trying_ = true;
    at_ = 0, rounds_ = 0, run_ = 0, since_ = 0;
  }
  // Means, not minima: what a busy machine takes away counts.
  void choose() {
    trying_ = false;
    best_ = 0;
    for (std::size_t k = 1; k < count_; ++k)
      if (candidate_[k].mean() < kGain * candidate_[best_].mean()) best_ = k;
  }

  int limit_ = 0, rounds_ = 0;
  bool settled_ = true, trying_ = false;
  double flops_ = 0, since_ = 0;
  Index run_ = 0;
  std::size_t count_ = 0, at_ = 0, best_ = 0;
  std::array<Candidate, 12> candidate_{};
};

}  // namespace fastnn::inline FASTNN_ISA::trainer
