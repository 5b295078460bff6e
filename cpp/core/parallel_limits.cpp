// How many threads a call may use: the limits of OpenMP, of the processor affinity, of the control group (cgroup) and of
// the calling thread.
// SPDX-License-Identifier: BSD-3-Clause
#include <omp.h>
#include <pthread.h>
#include <sched.h>

#include <algorithm>
#include <atomic>
#include <fstream>
#include <sstream>
#include <string>
#include <utility>

#include "core/parallel.h"

namespace fastnn::parallel {

namespace {

// The CPU quota of one group, as a number of processors; 0 without a quota.
double quota_of(const std::string& group, bool unified) {
  std::string quota, period;
  if (unified) {
    std::ifstream(group + "/cpu.max") >> quota >> period;
  } else {
    std::ifstream(group + "/cpu.cfs_quota_us") >> quota;
    std::ifstream(group + "/cpu.cfs_period_us") >> period;
  }
  const double share = std::atof(quota.c_str()), whole = std::atof(period.c_str());  // "max" and "-1": no quota
  return share > 0 && whole > 0 ? share / whole : 0;
}

// The smallest quota of a group and of all groups that contain it.
double smallest_quota(const std::string& root, std::string path, bool unified) {
  double smallest = 0;
  for (;;) {
    const double quota = quota_of(root + path, unified);
    if (quota > 0 && (smallest == 0 || quota < smallest)) smallest = quota;
    const auto slash = path.rfind('/');
    if (slash == std::string::npos || path.empty()) return smallest;
    path.resize(slash);
  }
}

// The quota of this process, rounded to whole processors; 0 without a quota. The lines of /proc/self/cgroup are
// "0::/path" (unified hierarchy) or "3:cpu,cpuacct:/path".
int cgroup_quota() {
  double smallest = 0;
  std::ifstream file("/proc/self/cgroup");
  for (std::string line; std::getline(file, line);) {
    std::istringstream parts(line);
    std::string number, controllers, path;
    std::getline(parts, number, ':');
    std::getline(parts, controllers, ':');
    std::getline(parts, path);
    if (path == "/") path.clear();
    const bool unified = controllers.empty();
    if (!unified && ("," + controllers + ",").find(",cpu,") == std::string::npos) continue;
    for (const std::string& root : {std::string("/sys/fs/cgroup"), "/sys/fs/cgroup/" + controllers}) {
      const double quota = smallest_quota(root, path, unified);
      if (quota > 0 && (smallest == 0 || quota < smallest)) smallest = quota;
    }
  }
  return smallest > 0 ? std::max(1, static_cast<int>(smallest + 0.5)) : 0;
}

int affinity_count() {
  // With OMP_PROC_BIND every thread is bound to some of the processors of the process, this one as well. The runtime
  // knows the number of all of them.
  if (omp_get_proc_bind() != omp_proc_bind_false) return omp_get_num_procs();
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof set, &set) != 0) return omp_get_num_procs();  // the set is too small for the machine
  return std::max(1, CPU_COUNT(&set));
}

constinit thread_local int g_limit_of_thread = 0;
std::atomic<int> g_sharing{0};
// A forked child has none of the fits of its parent's other threads. The one in which it was forked, by a callback, may
// go on there without being counted: part_of() divides by 1 at least.
[[maybe_unused]] const int g_sharing_ends = pthread_atfork(nullptr, nullptr, [] { g_sharing.store(0); });

}  // namespace

int Limits::available() const {
  int n = std::min(openmp, affinity);
  if (cgroup > 0) n = std::min(n, cgroup);
  if (thread > 0) n = std::min(n, thread);
  return std::clamp(n, 1, kMaxThreads);
}

int limit_this_thread(int n) noexcept { return std::exchange(g_limit_of_thread, n); }

Limits limits() noexcept {
  // The quota is read once, since reading files is slow and quotas rarely change. If two threads come here at the same
  // time, both read it. A static local variable would make one of them wait for the other, and a child that is forked
  // at that moment would wait forever.
  static constinit std::atomic<int> known{-1};
  int quota = known.load(std::memory_order_relaxed);
  if (quota < 0) known.store(quota = cgroup_quota(), std::memory_order_relaxed);
  return {std::min(omp_get_max_threads(), omp_get_thread_limit()), affinity_count(), quota, g_limit_of_thread};
}

int LimitsNow::available() noexcept {
  if (asked_++ % 64 == 0) {
    Limits all = limits();
    all.thread = 0;  // it may change before the next call
    seen_ = all.available();
  }
  const int n = std::clamp(std::min(omp_get_max_threads(), omp_get_thread_limit()), 1, seen_);
  const int own = g_limit_of_thread;
  return own > 0 ? std::min(n, own) : n;
}

Sharing::Sharing(bool counts) noexcept : counts_(counts) {
  if (counts_) g_sharing.fetch_add(1, std::memory_order_relaxed);
}

Sharing::~Sharing() {
  if (!counts_) return;
  int now = g_sharing.load(std::memory_order_relaxed);
  while (now > 0 && !g_sharing.compare_exchange_weak(now, now - 1, std::memory_order_relaxed)) {
  }
}

int Sharing::part_of(int threads) noexcept {
  return std::max(1, threads / std::max(1, g_sharing.load(std::memory_order_relaxed)));
}

std::string runtime_name() { return "OpenMP " + std::to_string(_OPENMP); }

}  // namespace fastnn::parallel
