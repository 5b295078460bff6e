// What the system grants: threads that can be started, and the stack that a thread has left.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <pthread.h>
#include <sched.h>

#include <cstddef>

namespace fastnn::parallel {

// Items keep up to 64 KB of panels on the stack (kernels/gemm.cpp).
inline constexpr std::size_t kItemStack = 160 * 1024;

// Where a thread may run, and with what priority. A new thread inherits both from the thread that starts it.
struct Scheduling {
  cpu_set_t processors;
  int policy, niceness;

  static Scheduling of_this_thread() noexcept;
  bool operator==(const Scheduling& other) const noexcept {
    return CPU_EQUAL(&processors, &other.processors) && policy == other.policy && niceness == other.niceness;
  }
};

// How many threads with OpenMP's stacks, up to `wanted`, can be started now: really starts them, and returns when they
// are gone. OpenMP ends the process when one cannot be.
int startable_threads(int wanted) noexcept;

// Starts a thread that takes no signals: they are for the threads of the program. False if that cannot be.
bool start_thread(pthread_t* thread, std::size_t stack, void* (*run)(void*), void* argument) noexcept;

}  // namespace fastnn::parallel
