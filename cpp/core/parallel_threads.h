// What the system grants: how many threads can be started, with which scheduling, and how much stack a thread has left.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <pthread.h>
#include <sched.h>

#include <atomic>
#include <cstddef>

namespace fastnn::parallel {

// Items keep up to 64 KB of panels on the stack (kernels/gemm.cpp).
inline constexpr std::size_t kItemStack = 160 * 1024;

// The processors on which a thread may run, and its priority. A new thread inherits both from the thread that starts
// it.
struct Scheduling {
  cpu_set_t processors;
  int policy, niceness;

  static Scheduling of_this_thread() noexcept;
  bool operator==(const Scheduling& other) const noexcept {
    return CPU_EQUAL(&processors, &other.processors) && policy == other.policy && niceness == other.niceness;
  }
};

// Keeps a sleeping thread off the processor of the thread that will wake it. Linux often wakes a thread on the waker's
// processor although another one is idle (in a virtual machine a halted processor can look occupied) and moves it only
// milliseconds later; until then the two threads take turns. So that processor is removed from the affinity mask of the
// thread while it sleeps.
class SleepAffinity {
 public:
  // Called by the thread itself before it sleeps.
  void avoid(int processor) noexcept;
  // Called by the thread itself when it has work: from now on avoid_instead() does nothing. restore() gives the thread
  // its own mask back; that takes system calls, so it may follow after the work.
  void set_awake() noexcept { avoided_.store(kAwake, std::memory_order_relaxed); }
  void restore() noexcept;
  // Called by the waker, which may have moved to another processor since, before anything lets the thread call
  // set_awake().
  void avoid_instead(int processor) noexcept;

 private:
  static constexpr int kAwake = -1;
  void reduce(int processor) noexcept;

  std::atomic<int> avoided_{kAwake};
  bool changed_ = false;
  pid_t thread_ = 0;
  cpu_set_t own_{}, reduced_{};  // the mask of the thread, and the same without the processor
};

// How many threads with OpenMP's stack size, up to `wanted`, can be started now. It starts them as a trial and returns
// when they have ended: OpenMP itself ends the process if it cannot start a thread.
int startable_threads(int wanted) noexcept;

// Starts a thread in which all signals but those of faults are blocked, so that the threads of the program receive
// them. Returns false if the thread cannot be started.
bool start_thread(pthread_t* thread, std::size_t stack, void* (*run)(void*), void* argument) noexcept;

}  // namespace fastnn::parallel
