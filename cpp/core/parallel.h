// Threads: core/parallel* alone creates and runs them. A Program is a list of phases of independent items. A team of
// threads runs the phases one after the other; the last thread to leave a phase does the serial work between that phase
// and the next (parallel_team.h). Items are distributed dynamically, so no result may depend on which thread runs an
// item or on the number of threads.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <chrono>
#include <cstdint>
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
  // For long items to call now and then: has a stop been requested? `flops`: work since the last call. On the calling
  // thread this also polls for signals.
  bool stopped(double flops) noexcept;

 private:
  Region& region_;
  int thread_;
};

class Program {
 public:
  virtual ~Program() = default;
  // Number of items of `phase`, less than 2^32. All threads of the phase call this function and the next three.
  virtual Index items(int phase) const noexcept = 0;
  // The end of the items of `phase` that thread t of `threads` takes first, 0 <= t < threads, before it helps others: not
  // before the end of t - 1, and for the last thread that of all items. Nothing depends on it but time.
  virtual Index share_end(int phase, int t, int threads) const noexcept { return items(phase) * (t + 1) / threads; }
  // Approximate number of floating-point operations of one item. It decides how often the caller polls for signals.
  virtual double item_flops(int phase) const noexcept = 0;
  // May the items of `phase` be skipped once a stop has been requested?
  virtual bool may_skip(int phase) const noexcept = 0;
  virtual void run(int phase, Index item, Worker& worker) noexcept = 0;
  // Called once after the last item of `phase`, by one thread. Returns the next phase, or kEnd. `stopped`: a stop was
  // requested, and items may have been skipped.
  virtual int finish(int phase, bool stopped) noexcept = 0;
};

using Clock = std::chrono::steady_clock;

// A function that the calling thread calls about every 50 ms while a program runs, and as soon as `due` has come; it
// returns true to request a stop.
struct Poll {
  bool (*ask)(void* context) noexcept = nullptr;
  void* context = nullptr;
  Clock::time_point due = Clock::time_point::max();
};

struct Outcome {
  int threads_used = 1;  // size of the team that the run was given; not all of them need have run an item
  bool stopped = false;
};

// Thrown by run() before the first item.
struct SmallStack : std::runtime_error {
  SmallStack()
      : std::runtime_error(
            "this thread's stack is too small to compute on, and no other thread can be started; "
            "expected 256 KB or more (threading.stack_size)") {}
};
// Thrown by run() in a child process that a signal handler forked during the run.
struct Forked : std::runtime_error {
  Forked()
      : std::runtime_error(
            "a signal handler forked inside this call: its threads stayed in the parent, and here the "
            "model may be half a step further; load values that were saved before") {}
};

// Runs `program` from phase `first` to its end on up to n_threads threads, fewer if the system grants fewer. The
// calling thread is one of them and begins at once. If its stack is too small for an item, another thread takes its
// place.
Outcome run(Program& program, int first, int n_threads, Poll poll);

// For callers that choose the number of threads themselves: n, but 1 for short work if a team would have to be woken
// for it, because that costs the calling thread as much as the team would save. Calls in quick succession do wake it:
// it stays awake between them.
int threads_without_waking(int n, double flops) noexcept;

// Does this thread have as much stack left as an item may need? For code that runs items without run().
bool has_item_stack() noexcept;

// How many threads a call may use by default: the smallest of the OpenMP limit of the calling thread, the number of
// processors in its affinity mask, the CPU quota of its cgroup, and the limit that limit_this_thread() has set.
struct Limits {
  int openmp = 1;
  int affinity = 1;
  int cgroup = 0;  // 0: no quota
  int thread = 0;  // 0: none
  int available() const;
};
Limits limits() noexcept;

// Sets a limit for the default of later calls on the calling thread, 0 for none, and returns the one before.
int limit_this_thread(int n) noexcept;

// Limits::available() for callers that need it once a step: the affinity, which takes a system call, is read in every
// 64th call only.
class LimitsNow {
 public:
  int available() noexcept;

 private:
  int seen_ = 1;
  unsigned asked_ = 0;
};

// Fits that choose the number of threads themselves and run at the same time, in several threads of the caller's, share
// the processors: each of them counts while its object lives. An object that does not count does nothing.
class Sharing {
 public:
  explicit Sharing(bool counts) noexcept;
  ~Sharing();
  Sharing(const Sharing&) = delete;
  // The part of `threads` that belongs to one of the fits that run now, at least 1.
  static int part_of(int threads) noexcept;

 private:
  const bool counts_;
};

// How many system calls have woken threads of teams, or tried to.
std::uint64_t waking_calls() noexcept;

std::string runtime_name();  // "OpenMP 4.5 (201511)"

}  // namespace fastnn::parallel
