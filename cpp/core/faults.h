// Faults that tests plant on purpose, to see that the tests of equal bits and of memory catch them.
// All off unless _core.testing turns one on; each is one relaxed load where it could bite.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <atomic>

#include "core/isa.h"

namespace fastnn::inline FASTNN_ISA::faults {

inline std::atomic<int> split{0};            // n > 0: batches are cut into n chunks, as if n threads decided
inline std::atomic<bool> allocation{false};  // every step allocates once

}  // namespace fastnn::inline FASTNN_ISA::faults
