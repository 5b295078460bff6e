// What the threads of one run have in common: whom they run it for, and whether to stop.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <atomic>
#include <chrono>

#include "core/parallel.h"

namespace fastnn::parallel {

using Clock = std::chrono::steady_clock;

inline constexpr auto kPollEvery = std::chrono::milliseconds(50);
inline constexpr double kFlopsBetweenClockReads = 4e6;
inline constexpr double kItemFlops = 1000;  // what handing out an item costs, in flops it could have done

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

Pulse& pulse() noexcept;  // of this thread

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

  // The calling thread looks for signals now and then: the handler may fork, or train.
  void look(double flops) noexcept {
    if (pulse().beat(poll_, flops)) stop();
  }
  void look_now() noexcept { look(kFlopsBetweenClockReads); }
  bool stopped() const noexcept { return stop_.load(std::memory_order_relaxed); }
  void stop() noexcept { stop_.store(true, std::memory_order_relaxed); }

 private:
  Program* program_ = nullptr;
  Poll poll_;
  alignas(kAlign) std::atomic<bool> stop_{false};
};

}  // namespace fastnn::parallel
