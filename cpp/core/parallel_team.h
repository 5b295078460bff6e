// Team: threads that stand ready for regions, asleep between them. A driver, a thread of our own, enters one OpenMP
// region and stays in it; OpenMP's threads are the members. Whoever calls is worker 0 and begins at once.
//
// Nobody waits for a thread that has not come. A phase is a door: a thread that finds it open goes in, takes items until
// none is left, and goes out. The last one out shuts it, does the serial work and opens the next. So a member that the
// scheduler keeps away is waited for only while it is in the middle of an item.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <pthread.h>

#include <atomic>
#include <memory>

#include "core/forks.h"
#include "core/parallel_bell.h"
#include "core/parallel_region.h"
#include "core/parallel_threads.h"

namespace fastnn::parallel {

class Team {
 public:
  // A team of n threads, the caller counted, or of as many as can be had; nullptr if not even its driver can start.
  // Its threads inherit the scheduling of the calling thread, which is passed as well.
  static Team* make(int n, const Scheduling& scheduling) noexcept;
  const Scheduling& scheduling() const noexcept { return scheduling_; }
  int size() const noexcept { return size_; }               // threads that a region may have, its caller counted
  int asked() const noexcept { return asked_; }             // how many it was made for
  bool here() const noexcept { return forks_ == forks(); }  // made in this process

  // One caller at a time.
  bool claim() noexcept { return !claimed_.load(std::memory_order_relaxed) && !claimed_.exchange(true); }
  void release() noexcept { claimed_.store(false); }

  // Runs `program` on up to n <= size() threads. `lend_stack`: the driver is worker 0, and the caller waits.
  Outcome run(Program& program, int first, int n, Poll poll, bool lend_stack);
  // Ends its threads and waits for that; of a claimed team only. The team itself stays: it is empty.
  void end() noexcept;

 private:
  // The items of one phase that belong to one thread; others may take from it when they have none left.
  struct alignas(kAlign) Share {
    std::atomic<Index> next;
    Index end;
    std::atomic<int> cpu{-1};  // on which its thread went in; -1: it is not inside
  };

  // One word: how many phases there have been, how many threads may come in, how many are in, and the state.
  class Door {
   public:
    enum State : std::uint64_t { kIdle, kOpen, kShut };  // shut: its last thread does the serial work
    Door() = default;
    Door(std::uint64_t word) : word_(word) {}
    Door(std::uint32_t phase, int limit, int inside, bool lent, State state)
        : word_(static_cast<std::uint64_t>(phase) << 32 | static_cast<std::uint64_t>(limit) << 16 |
                static_cast<std::uint64_t>(inside) << 4 | static_cast<std::uint64_t>(lent) << 2 | state) {}
    operator std::uint64_t() const { return word_; }
    std::uint32_t phase() const { return static_cast<std::uint32_t>(word_ >> 32); }
    int limit() const { return static_cast<int>(word_ >> 16 & 0xFFFF); }
    int inside() const { return static_cast<int>(word_ >> 4 & 0xFFF); }
    bool lent() const { return (word_ >> 2 & 1) != 0; }
    State state() const { return static_cast<State>(word_ & 3); }
    Door with(int inside, State state) const { return {phase(), limit(), inside, lent(), state}; }

   private:
    std::uint64_t word_ = 0;
  };

  Team(int n, const Scheduling& scheduling) noexcept;
  static void* drive(void* team) noexcept;
  void stand() noexcept;
  void ready(int size) noexcept;
  void member(int thread) noexcept;

  Door door() const noexcept { return door_.load(std::memory_order_acquire); }
  void open(std::uint32_t number, int phase, int limit, bool lent) noexcept;
  bool enter(Door seen) noexcept;
  bool leave() noexcept;
  std::uint32_t serve(int thread) noexcept;
  void take_items(Worker& worker, int limit) noexcept;
  bool mate_waits_for_this_cpu() const noexcept;
  template <class Changed>
  bool spin(Changed changed) noexcept;

  const int asked_;
  const std::uint32_t forks_;
  const Scheduling scheduling_;
  const int processors_;  // that its threads may use
  int size_ = 0;
  pthread_t driver_{};
  std::unique_ptr<Share[]> shares_;
  std::atomic<bool> ready_{false}, quit_{false};
  std::atomic<bool> claimed_{true};
  Region region_;
  int phase_ = 0;  // of the program; written by who shuts the door, read by who has come in
  alignas(kAlign) std::atomic<std::uint64_t> door_{0};
  alignas(kAlign) Bell bell_;
};

// A team of the pool, claimed for one region; none if no thread beside the caller can be had.
class Lease {
 public:
  explicit Lease(int n) noexcept;
  ~Lease() {
    if (team_) team_->release();
  }
  Lease(const Lease&) = delete;
  Team* operator->() const { return team_; }
  explicit operator bool() const { return team_ != nullptr; }

 private:
  Team* team_;
};

}  // namespace fastnn::parallel
