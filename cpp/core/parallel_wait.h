// WaitQueue: threads of a team sleep here in the kernel (a futex wait) until another thread wakes them.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <bit>
#include <chrono>
#include <cstdint>
#include <ctime>

namespace fastnn::parallel {

// The condition that a thread waits for is an atomic variable outside of this class. It has to be stored before wake()
// and read by `changed`, both sequentially consistent: then no wake-up is lost.
//
// A thread waits under a bit, by which it is woken. No two threads wait under the same one, except under kShared.
class WaitQueue {
 public:
  static constexpr unsigned kEveryone = ~0U, kShared = 1U << 30;

  // How many system calls have woken threads, or tried to. A forked child goes on with the number of its parent.
  static inline std::atomic<std::uint64_t> system_calls{0};

  // Wakes at most `count` of the threads that wait under one of the bits of `whom`. If there is none, this is a single
  // load: a system call takes half a microsecond or more, and would follow each phase.
  void wake(int count, unsigned whom) noexcept {
    if (count < 1 || waiting(whom) == 0) return;
    wakes_.fetch_add(1);
    futex_wake(count, whom);
  }

  // How many threads wait under one of the bits of `whom`.
  int waiting(unsigned whom = kEveryone) const noexcept {
    const std::uint64_t now = waiting_.load();
    const auto shared = (whom & kShared) != 0 ? static_cast<int>(now / kOneShared) : 0;
    return shared + std::popcount(static_cast<unsigned>(now) & whom);
  }

  // Returns at once if changed() is true; otherwise waits for wake(), at most for `timeout` (zero: without a limit).
  // May return early. `who`: one bit.
  template <class Changed>
  void wait(unsigned who, std::chrono::milliseconds timeout, Changed changed) noexcept {
    const unsigned seen = wakes_.load();
    const std::uint64_t mine = who == kShared ? kOneShared : who;
    waiting_.fetch_add(mine);
    if (!changed()) futex_wait(seen, who, timeout);
    waiting_.fetch_sub(mine);
  }

 private:
  static constexpr std::uint64_t kOneShared = std::uint64_t{1} << 32;

  void futex_wake(int count, unsigned whom) noexcept {
    system_calls.fetch_add(1, std::memory_order_relaxed);
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
  // The bits under which threads wait, but for kShared; above them, how many threads wait under kShared.
  std::atomic<std::uint64_t> waiting_{0};
};

}  // namespace fastnn::parallel
