// Tuner: chooses the number of threads of a step when the caller does not give it. It measures real steps with each
// candidate, keeps the fastest, and repeats the trials now and then. Results do not depend on the number of threads, so
// the choice can follow the load of the machine. The models of a process share what they have measured: the fits of a
// search or of a cross-validation are too short to begin with trials each.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <algorithm>
#include <array>
#include <chrono>
#include <mutex>
#include <optional>

#include "core/types.h"

namespace fastnn::run {

inline double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

// The measured time of a step with one number of threads. It is a running mean and not a minimum, so that the load of a
// busy machine counts, and is forgotten when the machine is quiet again. The first measurement of a new team includes
// waking its threads (~10 ms on one core): the second one replaces it. When a candidate is tried again, the smaller of
// the old and the new time is kept: averaged, one stall of that kind would rule the candidate out for a second.
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
struct Candidates {
  std::size_t count = 0;
  std::array<Candidate, 12> each{};
  Candidate& operator[](std::size_t k) { return each[k]; }
  const Candidate& operator[](std::size_t k) const { return each[k]; }
};

// The last measurements of all tuners of a process, by the kind of the steps. Whoever cannot have the lock at once does
// without.
class SharedMeasurements {
 public:
  struct Kind {
    Index bytes = 0;  // of a number
    int limit = 0;
    double flops = 0;
    bool operator==(const Kind&) const = default;
  };

  static SharedMeasurements& of_process() {
    // Never destroyed: threads may still train at the end of the process.
    static SharedMeasurements* const all = new SharedMeasurements;
    return *all;
  }
  void store(const Kind& kind, const Candidates& measured) {
    const std::unique_lock lock(mutex_, std::try_to_lock);
    if (!lock) return;
    Entry* entry = entry_of(kind);
    if (entry == nullptr) entry = &entries_[oldest_++ % entries_.size()];
    *entry = {kind, measured};
  }
  std::optional<Candidates> find(const Kind& kind) {
    const std::unique_lock lock(mutex_, std::try_to_lock);
    const Entry* const entry = lock ? entry_of(kind) : nullptr;
    return entry == nullptr ? std::nullopt : std::optional(entry->measured);
  }

 private:
  struct Entry {
    Kind kind;
    Candidates measured;
  };
  Entry* entry_of(const Kind& kind) {
    const auto place = std::ranges::find(entries_, kind, &Entry::kind);
    return place == entries_.end() ? nullptr : &*place;
  }

  std::mutex mutex_;
  std::array<Entry, 16> entries_;
  std::size_t oldest_ = 0;
};

class Tuner {
 public:
  // bytes: of a number in these steps; 0: it shares nothing with other tuners.
  explicit Tuner(Index bytes = 0) : bytes_(bytes) {}
  // Is the step so small that a second thread cannot make it faster?
  static bool too_small(double step_flops) { return step_flops < kAlwaysOne; }
  // Was the last call of pick() about steps of this size?
  bool knows(double step_flops) const { return step_flops == flops_; }
  // The number of threads for the next steps, at most `limit`.
  int pick(int limit, double step_flops) {
    settled_ = limit <= 1 || too_small(step_flops) || step_flops > kAlwaysAll;
    if (settled_) return too_small(step_flops) ? 1 : std::max(limit, 1);
    if (limit != limit_ || step_flops != flops_) restart(limit, step_flops);
    return candidate_[at_].threads;
  }
  // How many steps to run until the next call of pick().
  Index steps() const {
    if (settled_) return 1 << 30;
    const double each = expected();
    const double seconds = !trying() ? kStretch : warm_up_ > 0 ? kWarm : kTrial - spent_;
    const Index most = trying() && warm_up_ > 0 ? warm_up_ : 1 << 20;
    return std::min(static_cast<Index>(std::max(seconds, 0.0) / each) + 1, most);
  }
  // Reports the time of the last steps, with the number of threads that was picked last.
  void record(Index steps, double seconds) {
    if (settled_ || steps == 0) return;
    spent_ += seconds;
    if (trying() && warm_up_ > 0) {  // not measured: threads wake up, caches fill
      warm_up_ = spent_ < kWarm ? std::max<Index>(0, warm_up_ - steps) : 0;
      if (warm_up_ == 0) spent_ = 0;
      return;
    }
    steps_ += steps;
    if (spent_ < kTrial) return;  // an epoch may be shorter than a trial, which then goes on in the next one
    since_ += spent_;
    if (!trying()) served_ += spent_;
    const double share = trying() ? kTrialShare : spent_ / kMemory;
    candidate_[at_].learn(spent_ / static_cast<double>(steps_), share, again_ && trying());
    spent_ = 0, steps_ = 0;
    if (trying())
      next_trial();
    else if (since_ > pause_)
      try_again();
    if (trying()) return;
    choose();
    if (bytes_ > 0) SharedMeasurements::of_process().store(kind(), candidate_);
  }

 private:
  static constexpr double kAlwaysOne = 3e4;    // flops of a step; less work than the end of a phase costs
  static constexpr double kAlwaysAll = 2e9;    // flops of a step; a trial on one thread would take too long
  static constexpr double kFromAll = 2e7;      // flops; for larger steps, trials begin with all threads
  static constexpr double kGuess = 2e10;       // flops per second, assumed before the first measurement
  static constexpr double kTrial = 0.001;      // seconds of a trial
  static constexpr double kStretch = 0.005;    // seconds between two decisions
  static constexpr double kFirstAgain = 0.03;  // seconds until all candidates are tried again; doubled each time,
  static constexpr double kTryAgain = 0.5;     // up to this,
  static constexpr double kWorth = 150;        // and at least this many times the time lost in the trials
  static constexpr double kServedLong = 0.1;   // seconds; a choice older than this is not given up for good at once
  static constexpr double kMemory = 0.02;      // time constant of the running mean, in seconds
  static constexpr double kTrialShare = 0.4;   // weight of a further trial in the running mean
  static constexpr double kGain = 0.97;        // more threads have to take less than this fraction of the time
  static constexpr double kHopeless = 1.2;     // times the time of the best: not tried a second time at the beginning
  static constexpr double kWarm = 0.0003;      // seconds at the start of a trial that are not measured,
  static constexpr Index kWarmUp = 3;          // but at most this many steps
  static constexpr int kRounds = 3;

  SharedMeasurements::Kind kind() const { return {bytes_, limit_, flops_}; }
  // Begins with the measurements of another tuner, if there are some; all candidates are tried again after a while.
  bool recall() {
    const auto known = bytes_ > 0 ? SharedMeasurements::of_process().find(kind()) : std::nullopt;
    if (!known) return false;
    candidate_ = *known;
    rounds_ = kRounds, again_ = true, warm_up_ = 0;
    at_ = chosen_ = best();
    pause_ = std::clamp(kWorth * lost(), kFirstAgain, kTryAgain);
    return true;
  }

  bool trying() const { return rounds_ < kRounds; }

  void next_trial() {
    do {
      if (++turn_ == candidate_.count) turn_ = 0, ++rounds_;
      at_ = in_turn();
    } while (trying() && !again_ && hopeless(at_));
    warm_up_ = warm_up();
    if (!trying()) pause_ = std::clamp(kWorth * lost(), pause_, kTryAgain);
  }
  void try_again() {
    pause_ = std::min(2 * pause_, kTryAgain);
    since_ = 0;
    turn_ = 0, rounds_ = kRounds - 1;  // one round with all candidates
    at_ = in_turn();
    again_ = true;
    warm_up_ = warm_up();
  }
  // Steps that are longer than a trial need no further warm-up after the first one.
  Index warm_up() const { return expected() < kTrial ? kWarmUp : 0; }
  double expected() const { return candidate_[at_].seen > 0 ? candidate_[at_].mean : flops_ / kGuess; }
  // The candidate whose turn it is. Trials begin with the fewest threads, but with the most if a single step on one
  // thread would take long.
  std::size_t in_turn() const { return flops_ > kFromAll ? candidate_.count - 1 - turn_ : turn_; }
  // How many seconds a round of trials takes longer than the same steps with the best candidate.
  double lost() const {
    double lost = 0;
    for (std::size_t k = 0; k < candidate_.count; ++k)
      lost += std::max(candidate_[k].mean, kTrial) * (1 - candidate_[best()].mean / candidate_[k].mean);
    return lost;
  }
  // If a candidate that was the best for a long time no longer is, this may be a short disturbance. So all candidates
  // are tried again soon.
  void choose() {
    at_ = best();
    if (at_ == chosen_) return;
    if (served_ > kServedLong) pause_ = kFirstAgain, since_ = 0;
    chosen_ = at_, served_ = 0;
  }

  void restart(int limit, double step_flops) {
    limit_ = limit;
    flops_ = step_flops;
    candidate_.count = 0;
    for (int n = 1; n < limit && candidate_.count + 1 < candidate_.each.size(); n *= 2)
      candidate_[candidate_.count++] = {n};
    candidate_[candidate_.count++] = {limit};
    turn_ = 0, rounds_ = 0;
    at_ = chosen_ = in_turn();
    since_ = spent_ = served_ = 0, steps_ = 0;
    pause_ = kFirstAgain;
    again_ = false;
    if (!recall()) warm_up_ = warm_up();
  }
  // Is the candidate so slow, not only in its first trial with a new team, that further trials would be a waste of
  // time?
  bool hopeless(std::size_t k) const {
    return (k == 0 || candidate_[k].seen > 1) && candidate_[k].mean > kHopeless * candidate_[best()].mean;
  }
  std::size_t best() const {
    std::size_t best = 0;
    for (std::size_t k = 1; k < candidate_.count; ++k)
      if (candidate_[k].mean < kGain * candidate_[best].mean) best = k;
    return best;
  }

  Index bytes_;
  int limit_ = 0, rounds_ = 0;
  bool settled_ = true, again_ = false;
  Index warm_up_ = 0;
  Index steps_ = 0;  // of the current trial or stretch
  double flops_ = 0, spent_ = 0, since_ = 0, served_ = 0, pause_ = kFirstAgain;
  std::size_t turn_ = 0, at_ = 0, chosen_ = 0;
  Candidates candidate_;
};

// A tuner for each of the last few sizes of a step, because loops of train_step have a shorter batch at the end of
// every epoch.
class Tuners {
 public:
  explicit Tuners(Index bytes) { tuners_.fill(Tuner(bytes)); }
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
