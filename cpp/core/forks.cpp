// SPDX-License-Identifier: BSD-3-Clause
#include "core/forks.h"

#include <pthread.h>

#include <atomic>

namespace fastnn {

namespace {

std::atomic<std::uint32_t> g_forks{0};
// The thread that made the last fork, and the number of forks before the first of its uninterrupted series of forks.
// Both are written in the child's fork handler, while the child has a single thread.
std::uint64_t g_forker = 0;
std::uint32_t g_forker_since = 0;

[[maybe_unused]] const int g_watch = pthread_atfork(nullptr, nullptr, [] {
  const std::uint32_t before = forks();
  if (const std::uint64_t me = thread_number(); me != g_forker) g_forker = me, g_forker_since = before;
  g_forks.store(before + 1);
});

}  // namespace

std::uint32_t forks() noexcept { return g_forks.load(std::memory_order_relaxed); }

std::uint64_t thread_number() noexcept {
  static std::atomic<std::uint64_t> last{0};
  static constinit thread_local std::uint64_t t_number = 0;
  if (t_number == 0) t_number = last.fetch_add(1, std::memory_order_relaxed) + 1;
  return t_number;
}

bool outlived_forks(std::uint64_t thread, std::uint32_t before) noexcept {
  return before == forks() || (thread == g_forker && before >= g_forker_since);
}

}  // namespace fastnn
