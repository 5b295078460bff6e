// The teams of this process: made when they are wanted, kept for later calls, ended with the process.
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

constexpr int kMaxTeams = 64;          // of callers at one time; more of them run alone
constexpr int kMaxTeamThreads = 1024;  // of all teams
constexpr auto kFirstPause = std::chrono::milliseconds(500), kLongestPause = std::chrono::milliseconds(60'000);

struct Pool {
  const std::uint32_t made_in = forks();
  std::mutex mutex;
  std::array<Team*, kMaxTeams> teams{};
  int count = 0;
  int making = 0;
  int threads = 0;
  // When fewer threads than wanted could be had: not to be tried again before.
  Clock::time_point again{};
  std::chrono::milliseconds pause = kFirstPause;
};

// Teams outlive whatever a thread may still do with them at the end of the process: they are never destroyed.
std::atomic<Pool*> g_pool{nullptr};
std::atomic<bool> g_ended{false};

// Threads that sleep in a region when the runtime's own end comes trip some runtimes. Who computes still goes on.
void end_teams() {
  g_ended.store(true);
  Pool* pool = g_pool.load();
  if (!pool || pool->made_in != forks()) return;
  const std::unique_lock lock(pool->mutex, std::try_to_lock);
  if (!lock) return;
  for (int k = 0; k < pool->count; ++k)
    if (Team* team = pool->teams[static_cast<std::size_t>(k)]; team->claim()) team->end();
}

// A child has none of the threads of its parent, and perhaps a locked mutex: it begins anew.
Pool* this_pool() noexcept {
  Pool* pool = g_pool.load();
  if (pool && pool->made_in == forks()) return pool;
  Pool* made = new (std::nothrow) Pool;
  if (!made) return nullptr;
  if (!g_pool.compare_exchange_strong(pool, made)) {  // another thread of the child was first
    delete made;
    return pool;
  }
  [[maybe_unused]] static const int registered = std::atexit(end_teams);
  return made;
}

// Claims the smallest idle team of at least n threads, or, if `any`, the largest one.
Team* claim_idle(Pool& pool, int n, bool any) noexcept {
  Team* best = nullptr;
  for (int k = 0; k < pool.count; ++k) {
    Team* team = pool.teams[static_cast<std::size_t>(k)];
    const bool fits = team->size() >= n;
    if (!fits && !any) continue;
    const bool better = !best || (any ? team->size() > best->size() : team->size() < best->size());
    if (!better || !team->claim()) continue;
    if (best) best->release();
    best = team;
  }
  return best;
}

// Takes a smaller idle team out of the pool: the larger one to come does its work as well.
Team* retire_smaller(Pool& pool, int n) noexcept {
  for (int k = 0; k < pool.count; ++k) {
    Team*& team = pool.teams[static_cast<std::size_t>(k)];
    if (team->size() >= n || !team->claim()) continue;
    Team* retired = std::exchange(team, pool.teams[static_cast<std::size_t>(--pool.count)]);
    pool.threads -= retired->size();
    return retired;
  }
  return nullptr;
}

Team* take(int n) noexcept {
  Pool* pool = g_ended.load() ? nullptr : this_pool();
  if (!pool) return nullptr;
  std::unique_lock lock(pool->mutex);
  if (Team* team = claim_idle(*pool, n, false)) return team;
  const bool full = pool->count + pool->making >= kMaxTeams || pool->threads + n > kMaxTeamThreads;
  if (full || Clock::now() < pool->again) return claim_idle(*pool, n, true);
  Team* const smaller = retire_smaller(*pool, n);
  ++pool->making;
  pool->threads += n;
  lock.unlock();
  if (smaller) smaller->end();
  Team* team = Team::make(n);
  const int size = team ? team->size() : 0;
  lock.lock();
  --pool->making;
  pool->threads -= n - size;
  if (team) pool->teams[static_cast<std::size_t>(pool->count++)] = team;
  pool->pause = size < n ? std::min(2 * pool->pause, kLongestPause) : kFirstPause;
  if (size < n) pool->again = Clock::now() + pool->pause;
  return team;
}

}  // namespace

// A caller mostly finds the team that it had last.
Lease::Lease(int n) noexcept {
  static constinit thread_local Team* t_last = nullptr;
  if (!(t_last && t_last->here() && t_last->size() >= n && t_last->claim())) t_last = take(n);
  team_ = t_last;
}

}  // namespace fastnn::parallel
