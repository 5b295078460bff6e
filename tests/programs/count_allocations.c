// Counts the heap's allocations of a whole process and the bytes that live in it, for LD_PRELOAD (test_memory.py).
// Needs glibc, whose own functions have a second name; not thread-cached, so every thread is counted.
// SPDX-License-Identifier: BSD-3-Clause
#include <errno.h>
#include <malloc.h>
#include <stdatomic.h>
#include <stddef.h>

extern void* __libc_malloc(size_t size);
extern void* __libc_calloc(size_t count, size_t size);
extern void* __libc_realloc(void* old, size_t size);
extern void* __libc_memalign(size_t alignment, size_t size);
extern void __libc_free(void* memory);

static atomic_long calls, live, peak;

static void* came(void* memory) {
  if (!memory) return memory;
  atomic_fetch_add(&calls, 1);
  const long now = atomic_fetch_add(&live, (long)malloc_usable_size(memory)) + (long)malloc_usable_size(memory);
  long seen = atomic_load(&peak);
  while (now > seen && !atomic_compare_exchange_weak(&peak, &seen, now)) {
  }
  return memory;
}

static void went(void* memory) {
  if (memory) atomic_fetch_sub(&live, (long)malloc_usable_size(memory));
}

void* malloc(size_t size) { return came(__libc_malloc(size)); }
void* calloc(size_t count, size_t size) { return came(__libc_calloc(count, size)); }
void* memalign(size_t alignment, size_t size) { return came(__libc_memalign(alignment, size)); }
void* aligned_alloc(size_t alignment, size_t size) { return came(__libc_memalign(alignment, size)); }

void* realloc(void* old, size_t size) {
  const long before = old ? (long)malloc_usable_size(old) : 0;
  void* memory = __libc_realloc(old, size);
  if (memory || size == 0) atomic_fetch_sub(&live, before);
  return came(memory);
}

int posix_memalign(void** result, size_t alignment, size_t size) {
  void* memory = came(__libc_memalign(alignment, size));
  if (!memory) return ENOMEM;
  *result = memory;
  return 0;
}

void free(void* memory) {
  went(memory);
  __libc_free(memory);
}

long counted_calls(void) { return atomic_load(&calls); }
long live_bytes(void) { return atomic_load(&live); }
long peak_bytes(void) { return atomic_load(&peak); }
void forget_peak(void) { atomic_store(&peak, atomic_load(&live)); }
