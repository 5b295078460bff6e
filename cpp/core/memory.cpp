// SPDX-License-Identifier: BSD-3-Clause
#include "core/memory.h"

#include <algorithm>
#include <cstdint>
#include <cstdlib>

#ifndef __SANITIZE_ADDRESS__  // which checks blocks of malloc only
#define FASTNN_HUGE_PAGES 1
#include <sys/mman.h>
#endif

namespace fastnn {

namespace {

std::uintptr_t round_up(std::uintptr_t address, std::uintptr_t step) { return (address + step - 1) / step * step; }

#ifdef FASTNN_HUGE_PAGES
constexpr std::size_t kHugePage = std::size_t{2} << 20;

// The block starts at the boundary of a huge page. A remainder after the last whole huge page gets one more if it fills
// at least half of it, and small pages otherwise.
Memory map_huge(std::size_t bytes) noexcept {
  const std::size_t huge = (bytes + kHugePage / 2) / kHugePage * kHugePage;
  const std::size_t mapped = std::max(bytes, huge) + kHugePage;
  void* raw = mmap(nullptr, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (raw == MAP_FAILED) return {};
  void* first = reinterpret_cast<void*>(round_up(reinterpret_cast<std::uintptr_t>(raw), kHugePage));
  madvise(first, huge, MADV_HUGEPAGE);  // the result is ignored: without huge pages the memory is only slower
  return {first, raw, mapped};
}
#endif

}  // namespace

Memory allocate_zeroed(std::size_t bytes) noexcept {
#ifdef FASTNN_HUGE_PAGES
  if (bytes >= kHugePage) return map_huge(bytes);
#endif
  void* raw = std::calloc(bytes + kAlign, 1);
  if (raw == nullptr) return {};
  return {reinterpret_cast<void*>(round_up(reinterpret_cast<std::uintptr_t>(raw), kAlign)), raw, 0};
}

void deallocate(const Memory& memory) noexcept {
#ifdef FASTNN_HUGE_PAGES
  if (memory.mapped > 0) {
    munmap(memory.raw, memory.mapped);
    return;
  }
#endif
  std::free(memory.raw);
}

}  // namespace fastnn
