// Bell: where threads of a team sleep in the kernel until there is something to do.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <atomic>
#include <chrono>

#if defined(__linux__)
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <ctime>
#else
#include <thread>
#endif

namespace fastnn::parallel {

// What is waited for is a word of the sleeper's own: it must be stored, sequentially consistent, before ring() and be
// looked at by `changed` in the same order. So a ring without sleepers is one load.
class Bell {
 public:
  static constexpr unsigned kEverybody = ~0U;

  // Wakes at most `count` of those who sleep with a bit of `whom`.
  void ring(int count, unsigned whom) noexcept {
    if (count < 1 || sleepers_.load() == 0) return;
    rung_.fetch_add(1);
    wake(count, whom);
  }

  // Sleeps unless changed() or until rung, at most for `patience` (zero: as long as it takes). May return early.
  template <class Changed>
  void sleep(unsigned who, std::chrono::milliseconds patience, Changed changed) noexcept {
    const unsigned heard = rung_.load();
    sleepers_.fetch_add(1);
    if (!changed()) doze(heard, who, patience);
    sleepers_.fetch_sub(1);
  }

 private:
#if defined(__linux__)
  void wake(int count, unsigned whom) noexcept {
    syscall(SYS_futex, &rung_, FUTEX_WAKE_BITSET_PRIVATE, count, nullptr, nullptr, whom);
  }
  void doze(unsigned heard, unsigned who, std::chrono::milliseconds patience) noexcept {
    timespec until{};
    if (patience.count() > 0) {  // FUTEX_WAIT_BITSET takes a point in time
      clock_gettime(CLOCK_MONOTONIC, &until);
      until.tv_sec += patience.count() / 1000;
      until.tv_nsec += patience.count() % 1000 * 1'000'000;
      if (until.tv_nsec >= 1'000'000'000) ++until.tv_sec, until.tv_nsec -= 1'000'000'000;
    }
    syscall(SYS_futex, &rung_, FUTEX_WAIT_BITSET_PRIVATE, heard, patience.count() > 0 ? &until : nullptr, nullptr, who);
  }
#else  // no word of the standard library can be waited for with patience: look now and then
  void wake(int, unsigned) noexcept {}
  void doze(unsigned, unsigned, std::chrono::milliseconds) noexcept {
    std::this_thread::sleep_for(std::chrono::microseconds(100));
  }
#endif

  std::atomic<unsigned> rung_{0};
  std::atomic<int> sleepers_{0};
};

}  // namespace fastnn::parallel
