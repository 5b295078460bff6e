// operator new of test builds, which lets the n-th allocation fail (see faults.h). Other builds use the library's.
// SPDX-License-Identifier: BSD-3-Clause
#include "core/faults.h"

#ifdef FASTNN_TESTING
#include <cstdlib>
#include <new>

void* operator new(std::size_t size) {
  void* room = fastnn::faults::allocation_fails() ? nullptr : std::malloc(size > 0 ? size : 1);
  if (room == nullptr) throw std::bad_alloc();
  return room;
}
void operator delete(void* room) noexcept { std::free(room); }
void operator delete(void* room, std::size_t) noexcept { std::free(room); }
#endif
