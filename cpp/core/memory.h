// Zero-filled memory from the system. The kernel provides the pages of a large block one by one when a thread first
// touches them, so no call waits for all of them at once. Large blocks request huge pages (2 MB): the first step then
// has 1/512 of the page faults, and later steps have fewer TLB misses.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <cstddef>

#include "core/types.h"

namespace fastnn {

struct Memory {
  void* first = nullptr;   // aligned to 64 bytes; nullptr if the allocation failed
  void* raw = nullptr;     // what the system returned
  std::size_t mapped = 0;  // bytes to unmap; 0 for memory from calloc
};

Memory allocate_zeroed(std::size_t bytes) noexcept;
void deallocate(const Memory& memory) noexcept;

}  // namespace fastnn
