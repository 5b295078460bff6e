// The pool of the process's teams: a team is made when a call needs one, is kept for later calls and ends with the
// process.
// SPDX-License-Identifier: BSD-3-Clause
#include <algorithm>
#include <array>
#include <cstdlib>
#include <mutex>
#include <new>
#include <utility>

#include "core/forks.h"
#include "core/parallel_team.h"

namespace fastnn::parallel {

namespace {

constexpr int kMaxTeams = 64;          // further simultaneous callers run alone
constexpr int kMaxTeamThreads = 1024;  // of all teams together
constexpr auto kFirstPause = std::chrono::milliseconds(500), kLongestPause = std::chrono::milliseconds(60'000);

struct Pool {
  const std::uint32_t made_in = forks();
  // Held while a team is made: two teams made at the same time would both count on the same startable threads, and
  // OpenMP ends the process if it cannot start a thread. Always locked before `mutex`.
  std::mutex growing;
  std::mutex mutex;
  std::array<Team*, kMaxTeams> teams{};
  int count = 0;
  int threads = 0;
  // After the system granted fewer threads than requested: the time before which no further attempt is made.
  Clock::time_point again{};
  std::chrono::milliseconds pause = kFirstPause;
};

// The pool is never destroyed, since threads may still use it at the end of the process.
std::atomic<Pool*> g_pool{nullptr};
std::atomic<bool> g_ended{false};

// Ends the idle teams at exit: some OpenMP runtimes fail at exit while threads are still in a region. Teams that are in
// use are left alone.
void end_teams() {
  g_ended.store(true);
  Pool* pool = g_pool.load();
  if (!pool || pool->made_in != forks()) return;
  const std::unique_lock lock(pool->mutex, std::try_to_lock);
  if (!lock) return;
  for (int k = 0; k < pool->count; ++k)
    if (Team* team = pool->teams[static_cast<std::size_t>(k)]; team->claim()) team->end();
}

// The pool of this process. A forked child gets a new one, since it has no threads of its parent and the old mutexes
// may be locked.
Pool* this_pool() noexcept {
  Pool* pool = g_pool.load();
  if (pool && pool->made_in == forks()) return pool;
  Pool* made = new (std::nothrow) Pool;
  if (!made) return nullptr;
  if (!g_pool.compare_exchange_strong(pool, made)) {  // another thread was first
    delete made;
    return pool;
  }
  static constinit std::atomic<bool> registered{false};
  if (!registered.exchange(true)) std::atexit(end_teams);
  return made;
}

// Claims the smallest idle team of at least n threads or, if `any`, the largest idle one. Only teams with the
// scheduling of the caller qualify: the threads of others may be confined to other processors.
Team* claim_idle(Pool& pool, int n, const Scheduling& mine, bool any) noexcept {
  Team* best = nullptr;
  for (int k = 0; k < pool.count; ++k) {
    Team* team = pool.teams[static_cast<std::size_t>(k)];
    const bool fits = team->size() >= n;
    if ((!fits && !any) || team->scheduling() != mine) continue;
    const bool better = !best || (any ? team->size() > best->size() : team->size() < best->size());
    if (!better || !team->claim()) continue;
    if (best) best->release();
    best = team;
  }
  return best;
}

// Removes a smaller idle team from the pool, which the larger team that is about to be made replaces. If the pool is
// full, any idle team is removed.
Team* retire(Pool& pool, int n, const Scheduling& mine) noexcept {
  const bool full = pool.count >= kMaxTeams;
  for (int k = 0; k < pool.count; ++k) {
    Team*& team = pool.teams[static_cast<std::size_t>(k)];
    const bool replaced = team->size() < n && team->scheduling() == mine;
    if (!(replaced || full) || !team->claim()) continue;
    Team* retired = std::exchange(team, pool.teams[static_cast<std::size_t>(--pool.count)]);
    pool.threads -= retired->size();
    return retired;
  }
  return nullptr;
}

Team* take(int n) noexcept {
  Pool* pool = g_ended.load() ? nullptr : this_pool();
  if (!pool) return nullptr;
  const Scheduling mine = Scheduling::of_this_thread();
  std::unique_lock lock(pool->mutex);
  if (Team* team = claim_idle(*pool, n, mine, false)) return team;
  lock.unlock();
  const std::lock_guard growing(pool->growing);
  lock.lock();
  if (Team* team = claim_idle(*pool, n, mine, false)) return team;  // released while we waited
  if (pool->threads + n > kMaxTeamThreads || Clock::now() < pool->again) return claim_idle(*pool, n, mine, true);
  Team* const retired = retire(*pool, n, mine);
  if (pool->count >= kMaxTeams) return nullptr;  // all teams are in use
  lock.unlock();
  if (retired) retired->end();
  Team* team = Team::make(n, mine);
  const int size = team ? team->size() : 0;
  lock.lock();
  pool->threads += size;
  if (team) pool->teams[static_cast<std::size_t>(pool->count++)] = team;
  pool->pause = size < n ? std::min(2 * pool->pause, kLongestPause) : kFirstPause;
  if (size < n) pool->again = Clock::now() + pool->pause;
  return team;
}

constinit thread_local Team* t_last = nullptr;  // the team of this thread's last call

}  // namespace

// A thread first tries the team of its last call. Comparing the scheduling of the two takes system calls, so that is
// done in every 64th call only.
Lease::Lease(int n) noexcept {
  static constinit thread_local unsigned t_leases = 0;
  if (++t_leases % 64 == 0 && t_last && t_last->scheduling() != Scheduling::of_this_thread()) t_last = nullptr;
  if (!(t_last && t_last->in_this_process() && t_last->size() >= n && t_last->claim())) t_last = take(n);
  team_ = t_last;
}

int threads_without_waking(int n, double flops) noexcept {
  constexpr double kWorthWaking = 6e6;                            // flops: about 0.1 ms
  constexpr auto kInSuccession = std::chrono::microseconds(500);  // such a call, and the time that members then spin
  static constinit thread_local Clock::time_point t_previous{};
  if (n <= 1 || flops >= kWorthWaking || (t_last && t_last->is_awake(n))) return n;
  const auto now = Clock::now();
  return now - std::exchange(t_previous, now) < kInSuccession ? n : 1;
}

}  // namespace fastnn::parallel
