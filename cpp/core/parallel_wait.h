// WaitQueue: threads of a team sleep here in the kernel (a futex wait) until another thread wakes them.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <ctime>

namespace fastnn::parallel {

// The condition that a thread waits for is an atomic variable outside of this class. It has to be stored before wake()
// and read by `changed`, both sequentially consistent: then no wake-up is lost, and wake() without a waiting thread is
// a single load.
class WaitQueue {
 public:
  static constexpr unsigned kEveryone = ~0U;

  // Wakes at most `count` of the waiting threads whose `who` has a bit in common with `whom`.
  void wake(int count, unsigned whom) noexcept {
    if (count < 1 || waiting_.load() == 0) return;
    wakes_.fetch_add(1);
    futex_wake(count, whom);
  }

  int waiting() const noexcept { return waiting_.load(); }

  // Returns at once if changed() is true; otherwise waits for wake(), at most for `timeout` (zero: without a limit).
  // May return early.
  template <class Changed>
  void wait(unsigned who, std::chrono::milliseconds timeout, Changed changed) noexcept {
    const unsigned seen = wakes_.load();
    waiting_.fetch_add(1);
    if (!changed()) futex_wait(seen, who, timeout);
    waiting_.fetch_sub(1);
  }

 private:
  void futex_wake(int count, unsigned whom) noexcept {
    syscall(SYS_futex, &wakes_, FUTEX_WAKE_BITSET_PRIVATE, count, nullptr, nullptr, whom);
  }
  void futex_wait(unsigned seen, unsigned who, std::chrono::milliseconds timeout) noexcept {
    timespec until{};
    if (timeout.count() > 0) {  // FUTEX_WAIT_BITSET takes an absolute time
      clock_gettime(CLOCK_MONOTONIC, &until);
      until.tv_sec += timeout.count() / 1000;
      until.tv_nsec += timeout.count() % 1000 * 1'000'000;
      if (until.tv_nsec >= 1'000'000'000) ++until.tv_sec, until.tv_nsec -= 1'000'000'000;
    }
    syscall(SYS_futex, &wakes_, FUTEX_WAIT_BITSET_PRIVATE, seen, timeout.count() > 0 ? &until : nullptr, nullptr, who);
  }

  std::atomic<unsigned> wakes_{0};
  std::atomic<int> waiting_{0};
};

}  // namespace fastnn::parallel
