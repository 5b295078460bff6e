// Team: worker threads that are kept between calls and sleep while there is nothing to do. The driver, a thread that
// this class starts, enters one OpenMP parallel region and stays in it; the threads of that region are the team's
// members. The thread that calls run() is worker 0 and begins at once.
//
// There is no barrier. A thread that finds the current phase open enters it, takes the items of its share, then items
// that others have not begun, and leaves. The last thread to leave closes the phase, does the serial work and opens the
// next phase. So a thread is waited for only while it works on an item, and a member that the scheduler does not run
// delays nobody.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <pthread.h>

#include <atomic>
#include <memory>

#include "core/forks.h"
#include "core/parallel_region.h"
#include "core/parallel_threads.h"
#include "core/parallel_wait.h"

namespace fastnn::parallel {

class Team {
 public:
  // A team of n threads including the caller, or of fewer if the system does not grant as many; nullptr if not even its
  // driver can be started. Its threads inherit the scheduling of the calling thread, which `scheduling` describes.
  static Team* make(int n, const Scheduling& scheduling) noexcept;
  const Scheduling& scheduling() const noexcept { return scheduling_; }
  int size() const noexcept { return size_; }            // threads that a region may have, its caller counted
  int requested() const noexcept { return requested_; }  // how many it was made for
  bool in_this_process() const noexcept { return forks_ == forks(); }  // made in this process

  // Could n threads work now without one of them being woken? The driver sleeps as well.
  bool is_awake(int n) const noexcept { return in_this_process() && size_ >= n && waiting_.waiting() <= size_ - n + 1; }

  // One caller at a time.
  bool claim() noexcept { return !claimed_.load(std::memory_order_relaxed) && !claimed_.exchange(true); }
  void release() noexcept { claimed_.store(false); }

  // Runs `program` on up to n <= size() threads. `on_driver`: the driver is worker 0 in place of the caller, which only
  // waits and polls.
  Outcome run(Program& program, int first, int n, Poll poll, bool on_driver);
  // Ends the threads and waits for their end. Only for a claimed team, which cannot run anything afterwards.
  void end() noexcept;

 private:
  static constexpr int kNowhere = -1;

  // The items of a phase that are assigned to one thread. Threads that have finished their own share take items from the
  // shares of others that are late. `next` says which item comes next, and in which phase. If that is not the current
  // phase, nothing of the share has been taken. So nobody has to write to the shares of others between two phases.
  struct alignas(kAlign) Share {
    std::atomic<std::uint64_t> next{0};  // the number of the phase in the upper half, the item in the lower
    SleepAffinity affinity;
    // The processor on which its thread entered the phase; kNowhere while it is not inside. Waiting threads read it.
    alignas(kAlign) std::atomic<int> cpu{kNowhere};
  };

  // The state of the current phase in one atomic word: its number, how many threads have not finished their own shares,
  // how many threads are inside, whether one has found that no item is left, and whether the phase is open.
  class PhaseState {
   public:
    enum State : std::uint64_t { kIdle, kOpen, kClosed };  // closed: the last thread does the serial work
    PhaseState() = default;
    PhaseState(std::uint64_t word) : word_(word) {}
    PhaseState(std::uint32_t phase, int unfinished, int inside, bool on_driver, bool no_item_left, State state)
        : word_(static_cast<std::uint64_t>(phase) << 32 | static_cast<std::uint64_t>(unfinished) << 16 |
                static_cast<std::uint64_t>(inside) << 4 | static_cast<std::uint64_t>(no_item_left) << 3 |
                static_cast<std::uint64_t>(on_driver) << 2 | state) {}
    operator std::uint64_t() const { return word_; }
    std::uint32_t phase() const { return static_cast<std::uint32_t>(word_ >> 32); }
    int unfinished() const { return static_cast<int>(word_ >> 16 & 0xFFFF); }
    int inside() const { return static_cast<int>(word_ >> 4 & 0xFFF); }
    bool no_item_left() const { return (word_ >> 3 & 1) != 0; }
    bool on_driver() const { return (word_ >> 2 & 1) != 0; }
    State state() const { return static_cast<State>(word_ & 3); }
    // Are all threads inside that have not finished their shares? Then each item has been begun or soon will be.
    bool all_have_come() const { return inside() == unfinished(); }
    PhaseState entered() const { return {phase(), unfinished(), inside() + 1, on_driver(), no_item_left(), kOpen}; }
    // After a thread has left that has finished its share, while all have come.
    PhaseState share_finished() const {
      return {phase(), unfinished() - 1, inside() - 1, on_driver(), no_item_left(), inside() == 1 ? kClosed : kOpen};
    }
    // After a thread has left that has found no item.
    PhaseState left() const {
      return {phase(), unfinished(), inside() - 1, on_driver(), true, inside() == 1 ? kClosed : kOpen};
    }
    // What the last thread finds if all others have finished their shares.
    PhaseState before_last() const { return {phase(), 1, 1, on_driver(), false, kOpen}; }

   private:
    std::uint64_t word_ = 0;
  };

  Team(int n, const Scheduling& scheduling) noexcept;
  static void* driver_main(void* team) noexcept;
  void run_region() noexcept;
  void publish_size(int size) noexcept;
  void member_loop(int thread) noexcept;

  PhaseState state() const noexcept { return state_.load(std::memory_order_acquire); }
  void open_phase(std::uint32_t number, int phase, bool on_driver) noexcept;
  bool enter_phase(PhaseState seen) noexcept;
  bool finish_items(Worker& worker, PhaseState entered) noexcept;
  bool enter_again(PhaseState phase) noexcept;
  std::uint32_t run_phases(int thread) noexcept;
  void take_share(Worker& worker, PhaseState entered, int owner) noexcept;
  bool worker_shares_cpu() const noexcept;
  template <class Changed>
  bool spin(Changed changed) noexcept;

  const int requested_;
  const std::uint32_t forks_;
  const Scheduling scheduling_;
  const int processors_;          // that its threads may use
  std::atomic<int> callers_cpu_;  // where worker 0 was last seen
  int size_ = 0;
  pthread_t driver_{};
  std::unique_ptr<Share[]> shares_;
  std::atomic<bool> ready_{false}, quit_{false};
  std::atomic<bool> claimed_{true};
  Region region_;
  alignas(kAlign) std::atomic<std::uint64_t> state_{0};
  // The program's number of the current phase, and how many threads may enter the phases of this run. Written before a
  // phase opens.
  int phase_ = 0;
  std::atomic<int> limit_{0};
  alignas(kAlign) WaitQueue waiting_;
};

// A team of the pool, claimed for the lifetime of the object; empty if the system grants no further thread.
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
