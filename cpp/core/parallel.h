// Threads: the only place that owns them. A Program is a list of phases of independent items; a team runs one phase
// after the other, and the last thread to leave a phase does the serial work before the next (parallel_team.h).
// Nothing here knows of networks. Items are handed out dynamically: no result may depend on who runs them, or on how
// many do.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <stdexcept>
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
  int threads_used = 1;  // that the run was granted; it waits for none of them to come
  bool stopped = false;
};

// What a run throws: before its first item,
struct SmallStack : std::runtime_error {
  SmallStack()
      : std::runtime_error(
            "this thread's stack is too small to compute on, and no other thread can be started; "
            "expected 256 KB or more (threading.stack_size)") {}
};
// or in a child that a signal handler forked in the middle of it.
struct Forked : std::runtime_error {
  Forked()
      : std::runtime_error(
            "a signal handler forked inside this call: its threads stayed in the parent, and here the "
            "model may be half a step further; load values that were saved before") {}
};

// Runs `program` from phase `first` to its end on up to n_threads threads. The caller is one of them and begins at once;
// where its stack is too small, a thread with enough takes its place. Where fewer threads can be had, fewer run.
Outcome run(Program& program, int first, int n_threads, Poll poll);

// Has this thread the stack that an item may need? For who computes without run().
bool has_item_stack() noexcept;

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

}  // namespace fastnn::parallel
