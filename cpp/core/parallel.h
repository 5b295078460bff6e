// Threads: the only place that owns them. A Program is a list of phases of independent items; a team runs one phase
// after the other with a barrier between, and the last thread to arrive does the serial work between two phases.
// Nothing here knows of networks. Items are handed out dynamically: no result may depend on who runs them.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <string>

#include "core/types.h"

namespace fastnn::parallel {

inline constexpr int kMaxThreads = 256;
inline constexpr int kEnd = -1;

// The thread that runs an item.
class Region;
class Worker {
 public:
  Worker(Region& region, int thread) : region_(region), thread_(thread) {}
  int thread() const { return thread_; }
  // For items that take long: has a stop been asked for? `flops` were done since it was asked last.
  bool stopped(double flops) noexcept;

 private:
  Region& region_;
  int thread_;
};

class Program {
 public:
  virtual ~Program() = default;
  // Number of items of `phase`; read by one thread before the phase begins.
  virtual Index items(int phase) const noexcept = 0;
  // Roughly how many floating-point operations one item takes: how often the caller looks for signals.
  virtual double item_flops(int phase) const noexcept = 0;
  // May the items of `phase` be skipped once a stop was asked for?
  virtual bool may_skip(int phase) const noexcept = 0;
  virtual void run(int phase, Index item, Worker& worker) noexcept = 0;
  // Once, after the last item of `phase`: the next phase, or kEnd. `stopped`: items may have been skipped.
  virtual int finish(int phase, bool stopped) noexcept = 0;
};

// Called on the calling thread about every 50 ms while a program runs; true asks for a stop.
struct Poll {
  bool (*ask)(void* context) noexcept = nullptr;
  void* context = nullptr;
};

struct Outcome {
  int threads_used = 1;
  bool stopped = false;
};

// Runs `program` from phase `first` to its end on n_threads threads (the caller is one of them, except in a forked
// child, where the region belongs to a driver thread: the pool of the OpenMP runtime does not survive a fork).
Outcome run(Program& program, int first, int n_threads, Poll poll) noexcept;

// Threads a call may use when it is not told: the smallest of the OpenMP limit of the calling thread, the processor
// affinity and the cgroup's quota.
struct Limits {
  int openmp = 1;
  int affinity = 1;
  int cgroup = 0;  // 0: no quota
  int available() const;
};
Limits limits() noexcept;

// Limits::available() for a caller that asks once a step: affinity, a system call, is looked at every 64th time.
class LimitsNow {
 public:
  int available() noexcept;

 private:
  int seen_ = 1;
  unsigned asked_ = 0;
};

std::string runtime_name();  // "OpenMP 4.5 (201511)"

// Test hook: run regions on the forking thread in a forked child, as other libraries do (it hangs).
void use_driver_after_fork(bool on) noexcept;

}  // namespace fastnn::parallel
