// SPDX-License-Identifier: BSD-3-Clause
#include "core/parallel_team.h"

#include <omp.h>
#include <sched.h>

#include <algorithm>
#include <bit>
#include <climits>
#include <new>

#include "core/float_mode.h"
#include "core/parallel_threads.h"

namespace fastnn::parallel {

namespace {

// How long a thread spins before it waits in the kernel: a few steps of a small network, and far less than a time slice
// of the scheduler, so that other processes get the core.
constexpr auto kSpin = std::chrono::microseconds(200);
// With more threads than processors, a spinning thread may occupy the processor that the thread it waits for needs.
constexpr auto kSpinCrowded = std::chrono::microseconds(30);
constexpr int kPausesBetweenClockReads = 16;
// How long a thread that has finished its share waits for those that have not, before it takes items of theirs. What these
// items read and write is in the caches of the other cores, and to move it takes longer than one thread mostly is behind
// another.
constexpr auto kHelpAfter = std::chrono::microseconds(5);
constexpr std::size_t kDriverStack = 1024 * 1024;

std::atomic<int> g_working{0};  // threads of all regions that are running
[[maybe_unused]] const int g_watch_forks = pthread_atfork(nullptr, nullptr, [] { g_working.store(0); });

void pause_cpu() noexcept {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// The bits by which threads wait and are woken: one for the caller, one for each of the first members, one for all
// later members together, one for the driver.
constexpr int kLaterMembers = std::countr_zero(WaitQueue::kShared);
constexpr unsigned kCaller = 1, kDriver = 1U << 31;
unsigned wait_bit(int thread) { return thread == 0 ? kDriver : 1U << std::min(thread, kLaterMembers); }
unsigned wait_bits(int limit) { return (1U << std::min(limit, kLaterMembers + 1)) - 1; }

// For numbers that seldom change and lie in cache lines that other threads read.
void store_if_changed(std::atomic<int>& to, int value) noexcept {
  if (to.load(std::memory_order_relaxed) != value) to.store(value, std::memory_order_relaxed);
}

}  // namespace

Team::Team(int n, const Scheduling& scheduling) noexcept
    : requested_(n),
      forks_(forks()),
      scheduling_(scheduling),
      processors_(omp_get_num_procs()),
      callers_cpu_(sched_getcpu()) {}

Team* Team::make(int n, const Scheduling& scheduling) noexcept {
  std::unique_ptr<Team> team(new (std::nothrow) Team(n, scheduling));
  if (!team) return nullptr;
  team->shares_.reset(new (std::nothrow) Share[static_cast<std::size_t>(n)]);
  if (!team->shares_ || !start_thread(&team->driver_, kDriverStack, driver_main, team.get())) return nullptr;
  const auto is_ready = [&] { return team->ready_.load(); };
  while (!is_ready()) team->waiting_.wait(kCaller, {}, is_ready);
  return team.release();
}

void* Team::driver_main(void* team) noexcept {
  static_cast<Team*>(team)->run_region();
  return nullptr;
}

// The OpenMP region in which the threads of the team stay until the team ends.
void Team::run_region() noexcept {
  omp_set_dynamic(0);  // affects this thread only: the region gets the number of threads that it requests
  const int startable = 1 + startable_threads(requested_ - 1);
  std::atomic<bool> small{false};
#pragma omp parallel num_threads(startable)
  {
    const int thread = omp_get_thread_num();
    if (!has_item_stack()) small.store(true);
#pragma omp barrier
    if (thread == 0) publish_size(small.load() ? 1 : omp_get_num_threads());
    member_loop(thread);
  }
}

void Team::publish_size(int size) noexcept {
  size_ = size;
  ready_.store(true);
  waiting_.wake(INT_MAX, kCaller);
}

void Team::end() noexcept {
  quit_.store(true);
  waiting_.wake(INT_MAX, WaitQueue::kEveryone);
  pthread_join(driver_, nullptr);
}

// Thread 0 is the driver, which takes part only in runs with on_driver.
void Team::member_loop(int thread) noexcept {
  const FloatMode mode;
  SleepAffinity& affinity = shares_[static_cast<std::size_t>(thread)].affinity;
  std::uint32_t done = 0;  // number of the last phase that this thread has left
  bool worked = false;
  const auto wanted = [&](PhaseState seen) {
    // If the limit is that of a later run, seen has changed, and this thread cannot enter.
    return seen.state() == PhaseState::kOpen && seen.phase() != done &&
           thread < limit_.load(std::memory_order_relaxed) && (thread > 0 || seen.on_driver());
  };
  const auto changed = [&] { return quit_.load() || wanted(state_.load()); };
  for (;;) {
    const PhaseState seen = state();
    if (quit_.load()) return;
    if (wanted(seen)) {
      if (!enter_phase(seen)) continue;
      affinity.set_awake();
      done = run_phases(thread);
      affinity.restore();
      worked = true;
    } else if (!worked || !spin(changed)) {
      worked = false;
      affinity.avoid(callers_cpu_.load(std::memory_order_relaxed));
      waiting_.wait(wait_bit(thread), {}, changed);
    }
  }
}

Outcome Team::run(Program& program, int first, int n, Poll poll, bool on_driver) {
  n = std::min(n, size_);
  g_working.fetch_add(n, std::memory_order_relaxed);
  region_.begin(program, on_driver ? Poll{} : poll);
  store_if_changed(callers_cpu_, sched_getcpu());
  std::uint32_t done = state().phase();
  for (int t = 0; t < n; ++t)  // a share of long ago could have the number of a coming phase: there are 2^32 numbers
    shares_[static_cast<std::size_t>(t)].next.store(std::uint64_t{done} << 32, std::memory_order_relaxed);
  limit_.store(n, std::memory_order_relaxed);
  open_phase(done + 1, first, on_driver);
  if (!on_driver) done = run_phases(0);
  const auto over = [](PhaseState seen) { return seen.state() == PhaseState::kIdle; };
  const auto wanted = [&](PhaseState seen) {
    return !on_driver && seen.state() == PhaseState::kOpen && seen.phase() != done;
  };
  const auto changed = [&] {
    const PhaseState seen = state_.load();
    return over(seen) || wanted(seen);
  };
  for (PhaseState seen = state(); !over(seen); seen = state()) {
    if (wanted(seen)) {
      if (enter_phase(seen)) done = run_phases(0);
      continue;
    }
    if (!in_this_process()) throw Forked();  // a signal handler forked: threads inside an item exist in the parent only
    if (spin(changed)) continue;
    waiting_.wait(kCaller, kPollInterval, changed);
    if (poll_timer().poll_if_due(poll, kFlopsBetweenClockReads)) region_.stop();
  }
  if (in_this_process()) g_working.fetch_sub(n, std::memory_order_relaxed);  // a forked child started again at 0
  return {n, region_.stopped()};
}

// Opens a phase; no thread is inside. The thread that opens it counts as inside, unless it is a caller whose place the
// driver takes.
void Team::open_phase(std::uint32_t number, int phase, bool on_driver) noexcept {
  const int limit = limit_.load(std::memory_order_relaxed);
  const Index items = region_.program().items(phase);
  phase_ = phase;
  // Before the phase is open, so that no member can enter meanwhile. A forked child has none of the threads.
  if (waiting_.waiting(wait_bits(limit)) > 0 && in_this_process()) {
    const int cpu = callers_cpu_.load(std::memory_order_relaxed);
    for (int t = 1; t < limit; ++t) shares_[static_cast<std::size_t>(t)].affinity.avoid_instead(cpu);
  }
  const bool in = !on_driver || state().state() == PhaseState::kClosed;
  state_.store(PhaseState(number, limit, in ? 1 : 0, on_driver, false, PhaseState::kOpen));
  const int wanted = static_cast<int>(std::min<Index>(limit, items)) - 1;
  // The bit of the later members also wakes members beyond `limit`, who would use up the count.
  const bool wakes_idle_members = limit > kLaterMembers && limit < size_;
  if (on_driver)
    waiting_.wake(INT_MAX, kDriver | (wait_bits(limit) & ~kCaller));
  else
    waiting_.wake(wakes_idle_members && wanted > 0 ? INT_MAX : wanted, wait_bits(limit));
}

bool Team::enter_phase(PhaseState seen) noexcept {
  std::uint64_t expected = seen;
  return state_.compare_exchange_strong(expected, seen.entered());
}

// Takes the items of the thread's share, then those that others have not begun after a while, and leaves the phase. Returns
// true for the last thread to leave, which closes the phase. The other threads wait for the last one, and mostly all
// others have finished their shares when it has finished its own. Therefore each thread first tries to leave as the last
// one would, before it reads the state.
bool Team::finish_items(Worker& worker, PhaseState entered) noexcept {
  std::atomic<int>& cpu = shares_[static_cast<std::size_t>(worker.thread())].cpu;
  take_share(worker, entered, worker.thread());
  std::uint64_t seen = entered.before_last();
  if (state_.compare_exchange_strong(seen, entered.before_last().share_finished())) return true;
  while (PhaseState(seen).all_have_come()) {
    store_if_changed(cpu, kNowhere);
    if (!state_.compare_exchange_weak(seen, PhaseState(seen).share_finished())) continue;
    if (PhaseState(seen).inside() == 1) return true;
    if (!enter_again(entered)) return false;
    store_if_changed(cpu, sched_getcpu());
    break;
  }
  const int limit = limit_.load(std::memory_order_relaxed);
  for (int k = 1; k < limit && !state().no_item_left(); ++k) take_share(worker, entered, (worker.thread() + k) % limit);
  store_if_changed(cpu, kNowhere);
  seen = state();
  while (!state_.compare_exchange_weak(seen, PhaseState(seen).left())) {
  }
  return PhaseState(seen).inside() == 1;
}

// Waits for the threads inside a phase that this one has left. If they take long, enters it again and returns true.
bool Team::enter_again(PhaseState phase) noexcept {
  const auto is_open = [&](PhaseState seen) {
    return seen.phase() == phase.phase() && seen.state() == PhaseState::kOpen;
  };
  const auto until = Clock::now() + kHelpAfter;
  do {
    for (int k = 0; k < kPausesBetweenClockReads; ++k) {
      if (!is_open(state())) return false;
      pause_cpu();
    }
  } while (Clock::now() < until);
  for (std::uint64_t seen = state(); is_open(seen);)
    if (state_.compare_exchange_weak(seen, PhaseState(seen).entered())) return true;
  return false;
}

// Runs the items of the current phase and, as long as this thread is the last to leave, of the phases after it. Returns
// the number of the phase that this thread has left while others are inside, or of the end of the run.
std::uint32_t Team::run_phases(int thread) noexcept {
  Worker worker(region_, thread);
  std::atomic<int>& cpu = shares_[static_cast<std::size_t>(thread)].cpu;
  for (;;) {
    const PhaseState now = state();  // while this thread is inside, it can only change by threads that enter or leave
    const int here = sched_getcpu();
    store_if_changed(cpu, here);
    if (thread == 0) store_if_changed(callers_cpu_, here);
    if (!finish_items(worker, now)) return now.phase();
    const int next = region_.program().finish(phase_, region_.stopped());
    if (next == kEnd) {
      store_if_changed(cpu, kNowhere);
      state_.store(PhaseState(now.phase() + 1, 0, 0, false, false, PhaseState::kIdle));
      if (thread > 0 || now.on_driver()) waiting_.wake(INT_MAX, kCaller);
      return now.phase() + 1;
    }
    open_phase(now.phase() + 1, next, now.on_driver());
  }
}

// Takes the items of one thread's share that are left.
void Team::take_share(Worker& worker, PhaseState entered, int owner) noexcept {
  Program& program = region_.program();
  const bool may_skip = program.may_skip(phase_);
  const double flops = program.item_flops(phase_) + kItemFlops;
  const int limit = limit_.load(std::memory_order_relaxed);
  const Index first = owner > 0 ? program.share_end(phase_, owner - 1, limit) : 0;
  const auto end = static_cast<std::uint64_t>(program.share_end(phase_, owner, limit));
  std::atomic<std::uint64_t>& next = shares_[static_cast<std::size_t>(owner)].next;
  const std::uint64_t number = std::uint64_t{entered.phase()} << 32;
  std::uint64_t seen = next.load(std::memory_order_relaxed);
  for (;;) {
    const std::uint64_t item = seen >> 32 == entered.phase() ? seen - number : static_cast<std::uint64_t>(first);
    if (item >= end) break;
    if (!next.compare_exchange_weak(seen, number + item + 1, std::memory_order_relaxed)) continue;
    seen = number + item + 1;
    if (!(may_skip && region_.stopped())) program.run(phase_, static_cast<Index>(item), worker);
    if (worker.thread() == 0) region_.poll_if_due(flops);
  }
  if (worker.thread() == 0) region_.poll_if_due(kItemFlops);  // also when it found no item
}

// Did a thread that is inside the phase enter it on the processor on which this thread now runs? Then that thread is
// probably waiting for this processor.
bool Team::worker_shares_cpu() const noexcept {
  const int here = sched_getcpu();
  for (int t = 0; t < size_; ++t)
    if (shares_[static_cast<std::size_t>(t)].cpu.load(std::memory_order_relaxed) == here) return true;
  return false;
}

// Spins until changed() is true, at most for kSpin. Returns whether it became true.
template <class Changed>
bool Team::spin(Changed changed) noexcept {
  const bool crowded = g_working.load(std::memory_order_relaxed) > processors_;
  const auto until = Clock::now() + (crowded ? kSpinCrowded : kSpin);
  do {
    for (int k = 0; k < kPausesBetweenClockReads; ++k) {
      if (changed()) return true;
      pause_cpu();
    }
    if (worker_shares_cpu()) sched_yield();
  } while (Clock::now() < until);
  return false;
}

}  // namespace fastnn::parallel
