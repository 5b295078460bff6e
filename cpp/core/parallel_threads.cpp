// SPDX-License-Identifier: BSD-3-Clause
#include "core/parallel_threads.h"

#include <sched.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cctype>
#include <cerrno>
#include <climits>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <new>

#include "core/float_mode.h"
#include "core/parallel.h"

namespace fastnn::parallel {

namespace {

// Lowest address of this thread's stack; 0 if it is unknown.
std::uintptr_t lowest_of_stack() noexcept {
  pthread_attr_t attributes;
  if (pthread_getattr_np(pthread_self(), &attributes) != 0) return 0;
  void* lowest = nullptr;
  std::size_t size = 0;
  pthread_attr_getstack(&attributes, &lowest, &size);
  pthread_attr_destroy(&attributes);
  return reinterpret_cast<std::uintptr_t>(lowest);
}

// The value of OMP_STACKSIZE in bytes, in the notation of the OpenMP specification: "512k", "2 M", kilobytes without a
// unit. 0 if it is not set or malformed. Some runtimes read GOMP_STACKSIZE if it is not set.
std::size_t openmp_stack() noexcept {
  const char* text = std::getenv("OMP_STACKSIZE");
  if (!text) text = std::getenv("GOMP_STACKSIZE");
  if (!text) return 0;
  char* rest = nullptr;
  errno = 0;
  const unsigned long long number = std::strtoull(text, &rest, 10);
  if (errno != 0 || rest == text) return 0;
  while (std::isspace(static_cast<unsigned char>(*rest))) ++rest;
  unsigned shift = 10;
  switch (std::tolower(static_cast<unsigned char>(*rest))) {
    case 'b':
      shift = 0;
      break;
    case 'm':
      shift = 20;
      break;
    case 'g':
      shift = 30;
      break;
    default:
      break;
  }
  return number > (SIZE_MAX >> shift) ? 0 : static_cast<std::size_t>(number) << shift;
}

struct Probe {
  pthread_t thread{};
  std::atomic<bool>* go = nullptr;
  std::atomic<pid_t> id{0};
};

void* wait_for_go(void* argument) {
  auto& probe = *static_cast<Probe*>(argument);
  probe.id.store(static_cast<pid_t>(syscall(SYS_gettid)));
  probe.go->wait(false);
  return nullptr;
}

// A joined thread still counts against the system's limits until the kernel has released it.
void wait_until_gone(pid_t id) noexcept {
  for (int k = 0; k < 10'000 && syscall(SYS_tgkill, getpid(), id, 0) == 0; ++k) sched_yield();
}

// Is `mask` that of the thread? A mask that was set from outside meanwhile is left as it is.
bool has_mask(pid_t thread, const cpu_set_t& mask) noexcept {
  cpu_set_t now;
  CPU_ZERO(&now);
  return sched_getaffinity(thread, sizeof now, &now) == 0 && CPU_EQUAL(&now, &mask);
}

}  // namespace

Scheduling Scheduling::of_this_thread() noexcept {
  Scheduling found;
  CPU_ZERO(&found.processors);
  sched_getaffinity(0, sizeof found.processors, &found.processors);  // fails with more processors than the set holds
  found.policy = sched_getscheduler(0);
  found.niceness = getpriority(PRIO_PROCESS, 0);  // on Linux that of this thread
  return found;
}

void SleepAffinity::avoid(int processor) noexcept {
  if (avoided_.load(std::memory_order_relaxed) != kAwake) return;  // woken without work: the mask is still reduced
  if (thread_ == 0) thread_ = static_cast<pid_t>(syscall(SYS_gettid));
  CPU_ZERO(&own_);
  sched_getaffinity(0, sizeof own_,
                    &own_);  // with more processors than the set holds it fails, and the set stays empty
  reduce(processor);
  avoided_.store(processor);
}

void SleepAffinity::avoid_instead(int processor) noexcept {
  const int avoided = avoided_.load();
  if (avoided == kAwake || avoided == processor) return;
  if (has_mask(thread_, changed_ ? reduced_ : own_)) reduce(processor);
  avoided_.store(processor, std::memory_order_relaxed);
}

void SleepAffinity::reduce(int processor) noexcept {
  if (processor < 0 || processor >= CPU_SETSIZE || !CPU_ISSET(processor, &own_) || CPU_COUNT(&own_) == 1) return;
  cpu_set_t set = own_;
  CPU_CLR(processor, &set);
  if (sched_setaffinity(thread_, sizeof set, &set) != 0) return;
  reduced_ = set;
  changed_ = true;
}

void SleepAffinity::restore() noexcept {
  if (!changed_) return;
  changed_ = false;
  if (has_mask(0, reduced_)) sched_setaffinity(0, sizeof own_, &own_);
}

bool has_item_stack() noexcept {
  static constinit thread_local std::uintptr_t t_lowest = 0;
  if (t_lowest == 0) t_lowest = std::max<std::uintptr_t>(lowest_of_stack(), 1);
  const auto here = reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0));
  return here - t_lowest >= kItemStack;
}

bool start_thread(pthread_t* thread, std::size_t stack, void* (*run)(void*), void* argument) noexcept {
  pthread_attr_t attributes;
  if (pthread_attr_init(&attributes) != 0) return false;
  // A size below the system's minimum is ignored, as OpenMP does.
  if (stack > 0) pthread_attr_setstacksize(&attributes, stack);
  sigset_t blocked, before;
  sigfillset(&blocked);
  for (const int fault : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT}) sigdelset(&blocked, fault);
  pthread_sigmask(SIG_SETMASK, &blocked, &before);
  const CallersFloatMode inherited;  // a new thread inherits the floating-point mode of the thread that starts it
  const bool started = pthread_create(thread, &attributes, run, argument) == 0;
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  pthread_attr_destroy(&attributes);
  return started;
}

int startable_threads(int wanted) noexcept {
  const std::unique_ptr<Probe[]> probes(new (std::nothrow) Probe[static_cast<std::size_t>(wanted)]);
  if (!probes) return 0;
  std::atomic<bool> go{false};
  const std::size_t stack = openmp_stack();
  int started = 0;
  for (; started < wanted; ++started) {
    Probe& probe = probes[static_cast<std::size_t>(started)];
    probe.go = &go;
    if (!start_thread(&probe.thread, stack, wait_for_go, &probe)) break;
  }
  go.store(true);
  go.notify_all();
  for (int k = 0; k < started; ++k) {
    Probe& probe = probes[static_cast<std::size_t>(k)];
    pthread_join(probe.thread, nullptr);
    wait_until_gone(probe.id.load());
  }
  return started;
}

}  // namespace fastnn::parallel
