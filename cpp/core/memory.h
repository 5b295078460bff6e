// Zero-filled memory from the system. A large block comes as pages that the kernel makes when a thread first touches
// them, so that no call waits for all of them at once; and where the kernel offers huge pages it is asked for those: the
// first step meets a five-hundredth of the page faults, later ones fewer misses in the table of pages.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <cstddef>

#include "core/types.h"

namespace fastnn {

struct Memory {
  void* first = nullptr;  // 64-byte-aligned; nullptr: there was none
  void* raw = nullptr;
  std::size_t mapped = 0;  // bytes to unmap; 0: from calloc
};

Memory take_zeroed(std::size_t bytes) noexcept;
void give_back(const Memory& memory) noexcept;

}  // namespace fastnn
