// What the system grants: threads that can be started, and the stack that a thread has left.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <pthread.h>

#include <cstddef>

namespace fastnn::parallel {

// Items keep up to 64 KB of panels on the stack (kernels/gemm.cpp).
inline constexpr std::size_t kItemStack = 160 * 1024;

// How many threads with OpenMP's stacks, up to `wanted`, can be started now: really starts them, and returns when they
// are gone. OpenMP ends the process when one cannot be.
int startable_threads(int wanted) noexcept;

// Starts a thread that takes no signals: they are for the threads of the program. False if that cannot be.
bool start_thread(pthread_t* thread, std::size_t stack, void* (*run)(void*), void* argument) noexcept;

}  // namespace fastnn::parallel
