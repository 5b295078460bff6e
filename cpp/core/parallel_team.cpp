// SPDX-License-Identifier: BSD-3-Clause
#include "core/parallel_team.h"

#include <omp.h>
#include <sched.h>

#include <algorithm>
#include <climits>
#include <new>

#include "core/float_mode.h"
#include "core/parallel_threads.h"

namespace fastnn::parallel {

namespace {

// How long a thread spins before it sleeps in the kernel: a few steps of a small network, and far less than a time
// slice, so that a process that wants the core gets it.
constexpr auto kSpin = std::chrono::microseconds(200);
constexpr auto kSpinCrowded = std::chrono::microseconds(30);  // who spins may keep away whom it waits for
constexpr int kPausesBetweenClockReads = 16;
constexpr std::size_t kDriverStack = 1024 * 1024;

std::atomic<int> g_working{0};  // threads of all regions that run now
[[maybe_unused]] const int g_watch_forks = pthread_atfork(nullptr, nullptr, [] { g_working.store(0); });

void pause_cpu() noexcept {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// Bits of the bell: of the caller, of each of the first members, of all later ones together, of the driver.
constexpr int kLater = 30;
constexpr unsigned kCaller = 1, kDriver = 1U << 31;
unsigned bell_bit(int thread) { return thread == 0 ? kDriver : 1U << std::min(thread, kLater); }
unsigned bell_bits(int limit) { return (1U << std::min(limit, kLater + 1)) - 1; }

}  // namespace

Team::Team(int n, const Scheduling& scheduling) noexcept
    : asked_(n), forks_(forks()), scheduling_(scheduling), processors_(omp_get_num_procs()) {}

Team* Team::make(int n, const Scheduling& scheduling) noexcept {
  std::unique_ptr<Team> team(new (std::nothrow) Team(n, scheduling));
  if (!team) return nullptr;
  team->shares_.reset(new (std::nothrow) Share[static_cast<std::size_t>(n)]);
  if (!team->shares_ || !start_thread(&team->driver_, kDriverStack, drive, team.get())) return nullptr;
  const auto is_ready = [&] { return team->ready_.load(); };
  while (!is_ready()) team->bell_.sleep(kCaller, {}, is_ready);
  return team.release();
}

void* Team::drive(void* team) noexcept {
  static_cast<Team*>(team)->stand();
  return nullptr;
}

// The one region that the team's threads stay in.
void Team::stand() noexcept {
  omp_set_dynamic(0);  // of this thread alone: a number that was asked for is obeyed
  const int startable = 1 + startable_threads(asked_ - 1);
  std::atomic<bool> small{false};
#pragma omp parallel num_threads(startable)
  {
    const int thread = omp_get_thread_num();
    if (!has_item_stack()) small.store(true);
#pragma omp barrier
    if (thread == 0) ready(small.load() ? 1 : omp_get_num_threads());
    member(thread);
  }
}

void Team::ready(int size) noexcept {
  size_ = size;
  ready_.store(true);
  bell_.ring(INT_MAX, kCaller);
}

void Team::end() noexcept {
  quit_.store(true);
  bell_.ring(INT_MAX, Bell::kEverybody);
  pthread_join(driver_, nullptr);
}

// Thread 0 is the driver, which works for callers that lend it their place.
void Team::member(int thread) noexcept {
  const FloatMode mode;
  std::uint32_t done = 0;  // the phase that had no item left
  bool worked = false;
  const auto wanted = [&](Door seen) {
    return seen.state() == Door::kOpen && seen.phase() != done && thread < seen.limit() && (thread > 0 || seen.lent());
  };
  const auto changed = [&] { return quit_.load() || wanted(door_.load()); };
  for (;;) {
    const Door seen = door();
    if (quit_.load()) return;
    if (wanted(seen)) {
      if (!enter(seen)) continue;
      done = serve(thread);
      worked = true;
    } else if (!worked || !spin(changed)) {
      worked = false;
      bell_.sleep(bell_bit(thread), {}, changed);
    }
  }
}

Outcome Team::run(Program& program, int first, int n, Poll poll, bool lend_stack) {
  n = std::min(n, size_);
  g_working.fetch_add(n, std::memory_order_relaxed);
  region_.begin(program, lend_stack ? Poll{} : poll);
  std::uint32_t done = door().phase();
  open(done + 1, first, n, lend_stack);
  if (!lend_stack) done = serve(0);
  const auto over = [](Door seen) { return seen.state() == Door::kIdle; };
  const auto wanted = [&](Door seen) { return !lend_stack && seen.state() == Door::kOpen && seen.phase() != done; };
  const auto changed = [&] {
    const Door seen = door_.load();
    return over(seen) || wanted(seen);
  };
  for (Door seen = door(); !over(seen); seen = door()) {
    if (wanted(seen)) {
      if (enter(seen)) done = serve(0);
      continue;
    }
    if (!here()) throw Forked();  // by a signal handler: who is in an item stayed in the parent
    if (spin(changed)) continue;
    bell_.sleep(kCaller, kPollEvery, changed);
    if (pulse().beat(poll, kFlopsBetweenClockReads)) region_.stop();
  }
  if (here()) g_working.fetch_sub(n, std::memory_order_relaxed);  // a child that a handler forked counts from 0
  return {n, region_.stopped()};
}

// Deals the items of a phase and opens the door; nobody is in. Without lending, who opens is in the phase itself.
void Team::open(std::uint32_t number, int phase, int limit, bool lent) noexcept {
  const Index items = region_.program().items(phase);
  for (int t = 0; t < limit; ++t) {
    Share& share = shares_[static_cast<std::size_t>(t)];
    share.end = items * (t + 1) / limit;
    share.next.store(items * t / limit, std::memory_order_relaxed);
  }
  phase_ = phase;
  const bool in = !lent || door().state() == Door::kShut;
  door_.store(Door(number, limit, in ? 1 : 0, lent, Door::kOpen));
  const int wanted = static_cast<int>(std::min<Index>(limit, items)) - 1;
  const bool others_hear = limit > kLater && limit < size_;  // and would use up the count
  if (lent)
    bell_.ring(INT_MAX, kDriver | bell_bits(limit));
  else
    bell_.ring(others_hear && wanted > 0 ? INT_MAX : wanted, bell_bits(limit));
}

bool Team::enter(Door seen) noexcept {
  std::uint64_t expected = seen;
  return door_.compare_exchange_strong(expected, seen.with(seen.inside() + 1, Door::kOpen));
}

// True for the last one, behind whom the door is shut. Who goes out has seen that no item is left.
bool Team::leave() noexcept {
  std::uint64_t seen = door_.load(std::memory_order_relaxed);
  for (;;) {
    const Door now(seen);
    const bool last = now.inside() == 1;
    if (door_.compare_exchange_weak(seen, now.with(now.inside() - 1, last ? Door::kShut : Door::kOpen))) return last;
  }
}

// Phases, as long as this thread is the last one in each. Returns the phase that it knows to be done.
std::uint32_t Team::serve(int thread) noexcept {
  Worker worker(region_, thread);
  for (;;) {
    const Door now = door();  // but for who is inside it stays as it is while we are
    std::atomic<int>& cpu = shares_[static_cast<std::size_t>(thread)].cpu;
    cpu.store(sched_getcpu(), std::memory_order_relaxed);
    take_items(worker, now.limit());
    cpu.store(-1, std::memory_order_relaxed);
    if (!leave()) return now.phase();
    const int next = region_.program().finish(phase_, region_.stopped());
    if (next == kEnd) {
      door_.store(Door(now.phase() + 1, 0, 0, false, Door::kIdle));
      if (thread > 0 || now.lent()) bell_.ring(INT_MAX, kCaller);
      return now.phase() + 1;
    }
    open(now.phase() + 1, next, now.limit(), now.lent());
  }
}

void Team::take_items(Worker& worker, int limit) noexcept {
  Program& program = region_.program();
  const bool may_skip = program.may_skip(phase_);
  const double flops = program.item_flops(phase_) + kItemFlops;
  for (int k = 0; k < limit; ++k) {
    Share& share = shares_[static_cast<std::size_t>((worker.thread() + k) % limit)];
    for (;;) {
      if (share.next.load(std::memory_order_relaxed) >= share.end) break;
      const Index item = share.next.fetch_add(1, std::memory_order_relaxed);
      if (item >= share.end) break;
      if (!(may_skip && region_.stopped())) program.run(phase_, item, worker);
      if (worker.thread() == 0) region_.look(flops);
    }
  }
  if (worker.thread() == 0) region_.look(kItemFlops);  // it may have found no item
}

// Is a thread inside that ran where we run now, and so does not?
bool Team::mate_waits_for_this_cpu() const noexcept {
  const int here = sched_getcpu();
  for (int t = 0; t < size_; ++t)
    if (shares_[static_cast<std::size_t>(t)].cpu.load(std::memory_order_relaxed) == here) return true;
  return false;
}

// Until changed(), or as long as spinning is better than sleeping.
template <class Changed>
bool Team::spin(Changed changed) noexcept {
  const bool crowded = g_working.load(std::memory_order_relaxed) > processors_;
  const auto until = Clock::now() + (crowded ? kSpinCrowded : kSpin);
  do {
    for (int k = 0; k < kPausesBetweenClockReads; ++k) {
      if (changed()) return true;
      pause_cpu();
    }
    if (mate_waits_for_this_cpu()) sched_yield();
  } while (Clock::now() < until);
  return false;
}

}  // namespace fastnn::parallel
