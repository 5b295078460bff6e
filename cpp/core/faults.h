// Faults that tests plant on purpose, to see that the tests of equal bits and of memory catch them.
// All off unless _core.testing turns one on; each is one relaxed load where it could bite.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <atomic>

namespace fastnn::faults {

inline std::atomic<int> split{0};            // n > 0: batches are cut into n chunks, as if n threads decided
inline std::atomic<bool> allocation{false};  // every step allocates once

// n > 0: the n-th allocation from now on fails, and, unless only one has to, every later one; 0: none does.
// Only in builds with FASTNN_TESTING.
inline std::atomic<long> failing_allocation{0};
inline std::atomic<bool> only_one_fails{false};

// Counts one allocation; true if it has to fail.
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
