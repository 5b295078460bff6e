// SPDX-License-Identifier: BSD-3-Clause
#include "core/parallel.h"

#include <omp.h>
#include <pthread.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <thread>

#include "core/float_mode.h"

namespace fastnn::parallel {

namespace {

using Clock = std::chrono::steady_clock;

// How long a thread spins at a barrier before it sleeps in the kernel: a few steps of a small network, and far less
// than a time slice, so that a process that wants the core gets it.
constexpr int kSpins = 10000;
constexpr int kSpinsCrowded = 1500;  // more threads than processors: who spins keeps away those that it waits for
constexpr double kFlopsBetweenClockReads = 4e6;
constexpr double kItemFlops = 1000;  // what handing out an item costs, in flops it could have done
constexpr auto kPollEvery = std::chrono::milliseconds(50);

std::atomic<bool> g_use_driver{true};
std::atomic<int> g_forks{0};  // how many forks lie between this process and the one that imported us

void pause_cpu() noexcept {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#endif
}

// When the calling thread asked for signals last. It outlives regions: a fit may consist of very short ones.
class Pulse {
 public:
  // True if `poll` was asked now and wants a stop.
  bool beat(const Poll& poll, double flops) noexcept {
    if (!poll.ask || (spent_ += flops) < kFlopsBetweenClockReads) return false;
    spent_ = 0;
    const auto now = Clock::now();
    if (now < next_) return false;
    next_ = now + kPollEvery;
    return poll.ask(poll.context);
  }

 private:
  double spent_ = 0;
  Clock::time_point next_{};
};
thread_local Pulse t_pulse;

}  // namespace

// The items of one phase that belong to one thread; others may take from it when they have none left.
struct alignas(kAlign) Share {
  std::atomic<Index> next;
  Index end;
};

class Region {
 public:
  Region(Program& program, int first, int n_threads, Poll poll) noexcept
      : program_(program),
        poll_(poll),
        shares_(n_threads),
        spins_(n_threads > 1 && n_threads > omp_get_num_procs() ? kSpinsCrowded : kSpins),
        phase_(first) {
    for (int t = 0; t < n_threads; ++t) new (&share_[t]) Share;  // only these: one step may take microseconds
    deal(first);
  }

  void work(int thread, int team) noexcept {
    Worker worker(*this, thread);
    int phase = phase_;
    while (phase != kEnd) {
      const bool may_skip = program_.may_skip(phase);
      const double flops = program_.item_flops(phase);
      for (int k = 0; k < shares_; ++k) {
        Share& share = share_[(thread + k) % shares_];
        for (;;) {
          const Index item = share.next.fetch_add(1, std::memory_order_relaxed);
          if (item >= share.end) break;
          if (!(may_skip && stop_.load(std::memory_order_relaxed))) program_.run(phase, item, worker);
          if (thread == 0) look(flops);
        }
      }
      if (thread == 0) look(0);  // it may have found no item to run
      meet(phase, team);
      phase = phase_;
    }
  }

  // The calling thread looks for signals now and then.
  void look(double flops) noexcept {
    if (t_pulse.beat(poll_, flops + kItemFlops)) stop();
  }

  bool stopped() const noexcept { return stop_.load(); }
  void stop() noexcept { stop_.store(true); }
  // The calling thread polls by itself only when it works itself (not beside a driver thread).
  void set_polled_outside() noexcept { poll_.ask = nullptr; }

  Region(const Region&) = delete;
  ~Region() {}  // a Share has nothing to destroy

 private:
  void deal(int phase) noexcept {
    const Index items = program_.items(phase);
    for (int t = 0; t < shares_; ++t) {
      share_[t].end = items * (t + 1) / shares_;
      share_[t].next.store(items * t / shares_, std::memory_order_relaxed);
    }
  }

  // The last to arrive finishes the phase; the others spin briefly, then sleep.
  void meet(int phase, int team) noexcept {
    const unsigned generation = generation_.load(std::memory_order_relaxed);
    if (arrived_.fetch_add(1, std::memory_order_acq_rel) + 1 == team) {
      phase_ = program_.finish(phase, stopped());
      if (phase_ != kEnd) deal(phase_);
      arrived_.store(0, std::memory_order_relaxed);
      generation_.store(generation + 1, std::memory_order_release);
      if (team > 1) generation_.notify_all();
      return;
    }
    for (int spin = 0; spin < spins_; ++spin) {
      if (generation_.load(std::memory_order_acquire) != generation) return;
      pause_cpu();
    }
    while (generation_.load(std::memory_order_acquire) == generation) generation_.wait(generation);
  }

  Program& program_;
  Poll poll_;
  int shares_;
  int spins_;
  int phase_;  // written by the last to arrive, read by all after the barrier
  alignas(kAlign) std::atomic<int> arrived_{0};
  alignas(kAlign) std::atomic<unsigned> generation_{0};
  alignas(kAlign) std::atomic<bool> stop_{false};
  union {
    Share share_[kMaxThreads];
  };
};

bool Worker::stopped(double flops) noexcept {
  if (thread_ == 0) region_.look(flops);
  return region_.stopped();
}

namespace {

int team_work(Region& region, int n_threads) noexcept {
  if (n_threads == 1) {
    region.work(0, 1);
    return 1;
  }
  int used = 1;
  // An asked-for number is obeyed, whatever OMP_DYNAMIC says; the caller's setting comes back.
  const int dynamic = omp_get_dynamic();
  if (dynamic) omp_set_dynamic(0);
  // A thread is born with its maker's register, and the runtime may lend it to other libraries later.
  const CallersFloatMode birth;
#pragma omp parallel num_threads(n_threads)
  {
    const FloatMode mode;
    const int team = omp_get_num_threads();
    if (omp_get_thread_num() == 0) used = team;
    region.work(omp_get_thread_num(), team);
  }
  if (dynamic) omp_set_dynamic(dynamic);
  return used;
}

// A thread that runs the regions of one calling thread in a forked child.
class Driver {
 public:
  Driver() : thread_([this] { loop(); }) {}
  ~Driver() {
    {
      const std::lock_guard lock(mutex_);
      quit_ = true;
    }
    wake_.notify_one();
    thread_.join();
  }
  int run(Region& region, int n_threads, Poll poll) noexcept {
    std::unique_lock lock(mutex_);
    region_ = &region;
    n_threads_ = n_threads;
    wake_.notify_one();
    while (!done_.wait_for(lock, kPollEvery, [this] { return region_ == nullptr; })) {
      if (!poll.ask) continue;
      lock.unlock();  // the signal handler may fork or train
      if (poll.ask(poll.context)) region.stop();
      lock.lock();
    }
    lock.unlock();
    if (t_pulse.beat(poll, kFlopsBetweenClockReads)) region.stop();
    return used_;
  }

 private:
  void loop() noexcept {
    std::unique_lock lock(mutex_);
    for (;;) {
      wake_.wait(lock, [this] { return region_ || quit_; });
      if (quit_) return;
      lock.unlock();
      const int used = team_work(*region_, n_threads_);
      lock.lock();
      used_ = used;
      region_ = nullptr;
      done_.notify_one();
    }
  }
  std::mutex mutex_;
  std::condition_variable wake_, done_;
  Region* region_ = nullptr;
  int n_threads_ = 1, used_ = 1;
  bool quit_ = false;
  std::thread thread_;  // last: starts when the rest is there
};

// One driver per calling thread and per fork; a driver of an earlier process is abandoned, since its thread is gone.
Driver* driver() noexcept {
  struct Slot {
    Driver* driver = nullptr;
    int forks = 0;
    ~Slot() {
      if (driver && forks == g_forks.load()) delete driver;
    }
  };
  thread_local Slot slot;
  if (!slot.driver || slot.forks != g_forks.load()) {
    try {
      const CallersFloatMode birth;
      slot.driver = new Driver;
      slot.forks = g_forks.load();
    } catch (...) {
      return nullptr;
    }
  }
  return slot.driver;
}

const int g_watch_forks = pthread_atfork(nullptr, nullptr, [] { g_forks.fetch_add(1); });

}  // namespace

Outcome run(Program& program, int first, int n_threads, Poll poll) noexcept {
  n_threads = std::clamp(n_threads, 1, kMaxThreads);
  const FloatMode mode;
  Region region(program, first, n_threads, poll);
  int used = 1;
  Driver* own = nullptr;
  if (n_threads > 1 && g_forks.load() > 0 && g_use_driver.load()) own = driver();
  if (own) {
    region.set_polled_outside();
    used = own->run(region, n_threads, poll);
  } else {
    used = team_work(region, n_threads);
  }
  return {used, region.stopped()};
}

void use_driver_after_fork(bool on) noexcept { g_use_driver.store(on); }

}  // namespace fastnn::parallel
