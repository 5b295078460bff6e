// Fault injection for tests: deliberate faults that show that the tests of equal bits and of allocations can fail.
// All are off unless _core.testing turns one on. An unused fault costs one relaxed atomic load.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <atomic>

namespace fastnn::faults {

inline std::atomic<int> split{0};            // n > 0: cut batches into n chunks, as if the number of threads decided it
inline std::atomic<bool> allocation{false};  // allocate memory once in every step

// n > 0: the n-th allocation from now on fails, and all later ones as well unless only_one_fails is set. 0: no
// allocation fails. Has an effect only in builds with FASTNN_TESTING.
inline std::atomic<long> failing_allocation{0};
inline std::atomic<bool> only_one_fails{false};

// Counts one allocation. Returns true if it has to fail.
inline bool allocation_fails() noexcept {
#ifdef FASTNN_TESTING
  long left = failing_allocation.load(std::memory_order_relaxed);
  while (left > 1)
    if (failing_allocation.compare_exchange_weak(left, left - 1)) return false;
  if (left != 1) return false;
  return !only_one_fails.load(std::memory_order_relaxed) || failing_allocation.compare_exchange_strong(left, 0);
#else
  return false;
#endif
}

}  // namespace fastnn::faults
