// Region: what the threads of one run share, which is the program, the caller's poll function and the request to stop.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <atomic>
#include <chrono>

#include "core/parallel.h"

namespace fastnn::parallel {

inline constexpr auto kPollInterval = std::chrono::milliseconds(50);
inline constexpr double kFlopsBetweenClockReads = 4e6;
inline constexpr double kItemFlops = 1000;  // the cost of distributing an item, in floating-point operations

// Limits how often the calling thread polls for signals. There is one object per thread, not per region: a fit may
// consist of many very short regions.
class PollTimer {
 public:
  // Calls `poll` if kPollInterval has passed since the last call. Returns true if it was called and requests a stop.
  // `flops`: work since the last call of this function; the clock is read only after kFlopsBetweenClockReads of it.
  bool poll_if_due(const Poll& poll, double flops) noexcept {
    if (!poll.ask || (spent_ += flops) < kFlopsBetweenClockReads) return false;
    spent_ = 0;
    const auto now = Clock::now();
    if (now < next_ && now < poll.due) return false;
    next_ = now + kPollInterval;
    return poll.ask(poll.context);
  }

 private:
  double spent_ = 0;
  Clock::time_point next_{};
};

PollTimer& poll_timer() noexcept;  // the one of this thread

class Region {
 public:
  Region() = default;
  Region(Program& program, Poll poll) : program_(&program), poll_(poll) {}
  Region(const Region&) = delete;

  void begin(Program& program, Poll poll) noexcept {
    program_ = &program;
    poll_ = poll;
    stop_.store(false, std::memory_order_relaxed);
  }
  Program& program() const noexcept { return *program_; }

  // To be called on the calling thread only. A signal handler may run here, which may fork or train another model.
  void poll_if_due(double flops) noexcept {
    if (poll_timer().poll_if_due(poll_, flops)) stop();
  }
  void poll_now() noexcept { poll_if_due(kFlopsBetweenClockReads); }
  bool stopped() const noexcept { return stop_.load(std::memory_order_relaxed); }
  void stop() noexcept { stop_.store(true, std::memory_order_relaxed); }

 private:
  Program* program_ = nullptr;
  Poll poll_;
  alignas(kAlign) std::atomic<bool> stop_{false};
};

}  // namespace fastnn::parallel
