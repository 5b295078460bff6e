// Tuner: how many threads a step takes when nobody says so. It tries the candidates on real steps, keeps the fastest
// and tries again now and then: results do not depend on the choice, so it may follow the machine's load.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <algorithm>
#include <array>
#include <chrono>

#include "core/types.h"

namespace fastnn::run {

inline double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

class Tuner {
 public:
  // Steps that no second thread can help.
  static bool too_small(double step_flops) { return step_flops < kAlwaysOne; }
  // Is it for steps of this size, the last ones it was asked about?
  bool knows(double step_flops) const { return step_flops == flops_; }
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
    const double each = expected();
    const double seconds = !trying() ? kStretch : warm_up_ > 0 ? kWarm : kTrial - spent_;
    const Index most = trying() && warm_up_ > 0 ? warm_up_ : 1 << 20;
    return std::min(static_cast<Index>(std::max(seconds, 0.0) / each) + 1, most);
  }
  // What the last steps took, on the threads last picked.
  void record(Index steps, double seconds) {
    if (settled_ || steps == 0) return;
    spent_ += seconds;
    if (trying() && warm_up_ > 0) {  // the team wakes up, the caches fill
      warm_up_ = spent_ < kWarm ? std::max<Index>(0, warm_up_ - steps) : 0;
      if (warm_up_ == 0) spent_ = 0;
      return;
    }
    steps_ += steps;
    if (spent_ < kTrial) return;  // an epoch may be shorter: its time alone says little
    since_ += spent_;
    if (!trying()) served_ += spent_;
    const double share = trying() ? kTrialShare : spent_ / kMemory;
    candidate_[at_].learn(spent_ / static_cast<double>(steps_), share, again_ && trying());
    spent_ = 0, steps_ = 0;
    if (trying())
      next_trial();
    else if (since_ > pause_)
      try_again();
    if (!trying()) choose();
  }

 private:
  static constexpr double kAlwaysOne = 3e4;    // flops: less than a barrier costs
  static constexpr double kAlwaysAll = 2e9;    // a trial on one thread would cost more than it can tell
  static constexpr double kFromAll = 2e7;      // a millisecond on one thread: trials begin with all
  static constexpr double kGuess = 2e10;       // flops a second, before anything is known
  static constexpr double kTrial = 0.001;      // seconds that a choice is tried for
  static constexpr double kStretch = 0.005;    // seconds between two decisions
  static constexpr double kFirstAgain = 0.03;  // seconds until all are tried again; each time twice as long,
  static constexpr double kTryAgain = 0.5;     // up to this
  static constexpr double kWorth = 50;         // and no sooner than after so many times what the trials cost
  static constexpr double kServedLong = 0.1;   // seconds after which a choice is given up only for trial
  static constexpr double kMemory = 0.02;      // seconds that a mean looks back
  static constexpr double kTrialShare = 0.4;   // weight of one more trial in the mean
  static constexpr double kGain = 0.97;        // more threads have to be this much faster
  static constexpr double kWarm = 0.0003;      // seconds at the start of a trial that do not count,
  static constexpr Index kWarmUp = 3;          // and no more steps than these
  static constexpr int kRounds = 3;

  // A running mean, not a minimum: what a busy machine takes away counts, and is forgotten when it is quiet again.
  // The first trial is forgotten with the second: a new team may share a processor for some 10 ms. For the same reason
  // a candidate tried again is as fast as it is now: one such stall, averaged, would speak against it for a second.
  struct Candidate {
    int threads = 1;
    int seen = 0;
    double mean = 0;
    void learn(double seconds, double share, bool again) {
      const bool forget = seen < 2 || (again && seconds < mean);
      mean += (forget ? 1 : std::clamp(share, 0.05, 0.5)) * (seconds - mean);
      ++seen;
    }
  };

  bool trying() const { return rounds_ < kRounds; }

  void next_trial() {
    do {
      if (++turn_ == count_) turn_ = 0, ++rounds_;
      at_ = in_turn();
    } while (trying() && !again_ && hopeless(at_));
    warm_up_ = warm_up();
    if (!trying()) pause_ = std::clamp(kWorth * lost(), pause_, kTryAgain);
  }
  void try_again() {
    pause_ = std::min(2 * pause_, kTryAgain);
    since_ = 0;
    turn_ = 0, rounds_ = kRounds - 1;  // one round, of all
    at_ = in_turn();
    again_ = true;
    warm_up_ = warm_up();
  }
  // A step longer than a trial warms up by itself, once its first is done.
  Index warm_up() const { return expected() < kTrial ? kWarmUp : 0; }
  double expected() const { return candidate_[at_].seen > 0 ? candidate_[at_].mean : flops_ / kGuess; }
  // Whose turn it is: the fewest threads first, or, where even a single step on one would be felt, the most.
  std::size_t in_turn() const { return flops_ > kFromAll ? count_ - 1 - turn_ : turn_; }
  // Seconds that a round of trials costs.
  double lost() const {
    double lost = 0;
    for (std::size_t k = 0; k < count_; ++k)
      lost += std::max(candidate_[k].mean, kTrial) * (1 - candidate_[best()].mean / candidate_[k].mean);
    return lost;
  }
  // A choice that was good for long and is not now may only be disturbed: it gets another chance soon.
  void choose() {
    at_ = best();
    if (at_ == chosen_) return;
    if (served_ > kServedLong) pause_ = kFirstAgain, since_ = 0;
    chosen_ = at_, served_ = 0;
  }

  void restart(int limit, double step_flops) {
    limit_ = limit;
    flops_ = step_flops;
    count_ = 0;
    for (int n = 1; n < limit && count_ + 1 < candidate_.size(); n *= 2) candidate_[count_++] = {n};
    candidate_[count_++] = {limit};
    turn_ = 0, rounds_ = 0;
    at_ = chosen_ = in_turn();
    since_ = spent_ = served_ = 0, steps_ = 0;
    pause_ = kFirstAgain;
    again_ = false;
    warm_up_ = warm_up();
  }
  // So slow, and not only because its team was new, that more trials would only cost.
  bool hopeless(std::size_t k) const {
    return (k == 0 || candidate_[k].seen > 1) && candidate_[k].mean > 1.5 * candidate_[best()].mean;
  }
  std::size_t best() const {
    std::size_t best = 0;
    for (std::size_t k = 1; k < count_; ++k)
      if (candidate_[k].mean < kGain * candidate_[best].mean) best = k;
    return best;
  }

  int limit_ = 0, rounds_ = 0;
  bool settled_ = true, again_ = false;
  Index warm_up_ = 0;
  Index steps_ = 0;  // of the trial or stretch
  double flops_ = 0, spent_ = 0, since_ = 0, served_ = 0, pause_ = kFirstAgain;
  std::size_t count_ = 0, turn_ = 0, at_ = 0, chosen_ = 0;
  std::array<Candidate, 12> candidate_{};
};

// A tuner for each of the last few sizes: a loop of train_step ends every epoch with a shorter batch.
class Tuners {
 public:
  Tuner& of(double step_flops) {
    for (Tuner& tuner : tuners_)
      if (tuner.knows(step_flops)) return tuner;
    oldest_ = (oldest_ + 1) % tuners_.size();
    return tuners_[oldest_];
  }

 private:
  std::array<Tuner, 4> tuners_;
  std::size_t oldest_ = 0;
};

}  // namespace fastnn::run
