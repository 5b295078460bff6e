// Tuner: how many threads a step takes when nobody says so. It tries the candidates on real steps, keeps the fastest
// and tries again now and then: results do not depend on the choice, so it may follow the machine's load.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <algorithm>
#include <array>
#include <chrono>

#include "core/types.h"

namespace fastnn::trainer {

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
    if (limit != limit_ || step_flops != flops_) restart(limit, step_flops);
    return candidate_[at_].threads;
  }
  // How many steps to run before asking again.
  Index steps() const {
    if (settled_) return 1 << 30;
    if (trying() && warm_up_ > 0) return warm_up_;
    const double seconds = candidate_[at_].seen > 0 ? candidate_[at_].mean : flops_ / kGuess;
    return std::clamp<Index>(static_cast<Index>((trying() ? kTrial : kStretch) / seconds), 2, 1 << 20);
  }
  // What the last steps took, on the threads last picked.
  void record(Index steps, double seconds) {
    if (settled_ || steps == 0) return;
    if (trying() && warm_up_ > 0) {  // the team starts, the caches fill
      warm_up_ = std::max<Index>(0, warm_up_ - steps);
      return;
    }
    candidate_[at_].learn(seconds / static_cast<double>(steps), trying() ? kTrialShare : seconds / kMemory);
    since_ += seconds;
    tried_ += seconds;
    if (trying()) {
      if (tried_ < kTrial) return;
      tried_ = 0;
      warm_up_ = kWarmUp;
      do {
        if (++at_ == count_) at_ = 0, ++rounds_;
      } while (trying() && !again_ && rounds_ > 0 && hopeless(at_));
    } else if (since_ > pause_) {
      pause_ = std::min(2 * pause_, kTryAgain);
      since_ = tried_ = 0;
      at_ = 0, rounds_ = kRounds - 1;  // one round, of all
      again_ = true;
      warm_up_ = kWarmUp;
    }
    if (!trying()) at_ = best();
  }

 private:
  static constexpr double kAlwaysOne = 3e4;    // flops: less than a barrier costs
  static constexpr double kAlwaysAll = 2e9;    // a trial on one thread would cost more than it can tell
  static constexpr double kGuess = 2e10;       // flops a second, before anything is known
  static constexpr double kTrial = 0.001;      // seconds that a choice is tried for
  static constexpr double kStretch = 0.005;    // seconds between two decisions
  static constexpr double kFirstAgain = 0.03;  // seconds until all are tried again; each time twice as long,
  static constexpr double kTryAgain = 0.5;     // up to this
  static constexpr double kMemory = 0.02;      // seconds that a mean looks back
  static constexpr double kTrialShare = 0.4;   // weight of one more trial in the mean
  static constexpr double kGain = 0.97;        // more threads have to be this much faster
  static constexpr int kRounds = 3;
  static constexpr Index kWarmUp = 3;  // steps at the start of a trial that do not count

  // A running mean, not a minimum: what a busy machine takes away counts, and is forgotten when it is quiet again.
  // The first trial is forgotten with the second: in it the team was made.
  struct Candidate {
    int threads = 1;
    int seen = 0;
    double mean = 0;
    void learn(double seconds, double share) {
      mean += (seen < 2 ? 1 : std::clamp(share, 0.05, 0.5)) * (seconds - mean);
      ++seen;
    }
  };

  bool trying() const { return rounds_ < kRounds; }

  void restart(int limit, double step_flops) {
    limit_ = limit;
    flops_ = step_flops;
    count_ = 0;
    for (int n = 1; n < limit && count_ + 1 < candidate_.size(); n *= 2) candidate_[count_++] = {n};
    candidate_[count_++] = {limit};
    at_ = 0, rounds_ = 0, since_ = tried_ = 0;
    pause_ = kFirstAgain;
    again_ = false;
    warm_up_ = kWarmUp;
  }
  // So slow in its first trial that more of them would only cost.
  bool hopeless(std::size_t k) const { return candidate_[k].mean > 1.5 * candidate_[best()].mean; }
  std::size_t best() const {
    std::size_t best = 0;
    for (std::size_t k = 1; k < count_; ++k)
      if (candidate_[k].mean < kGain * candidate_[best].mean) best = k;
    return best;
  }

  int limit_ = 0, rounds_ = 0;
  bool settled_ = true, again_ = false;
  Index warm_up_ = 0;
  double flops_ = 0, since_ = 0, tried_ = 0, pause_ = kFirstAgain;
  std::size_t count_ = 0, at_ = 0;
  std::array<Candidate, 12> candidate_{};
};

}  // namespace fastnn::trainer
