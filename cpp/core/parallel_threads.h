// What the system grants: how many threads can be started, with which scheduling, and how much stack a thread has left.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <pthread.h>
#include <sched.h>

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

// How many threads with OpenMP's stack size, up to `wanted`, can be started now. It starts them as a trial and returns
// when they have ended: OpenMP itself ends the process if it cannot start a thread.
int startable_threads(int wanted) noexcept;

// Starts a thread in which all signals but those of faults are blocked, so that the threads of the program receive
// them. Returns false if the thread cannot be started.
bool start_thread(pthread_t* thread, std::size_t stack, void* (*run)(void*), void* argument) noexcept;

}  // namespace fastnn::parallel
