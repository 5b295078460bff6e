// SPDX-License-Identifier: BSD-3-Clause
#include "core/parallel.h"

#include <omp.h>

#include <algorithm>

#include "core/float_mode.h"
#include "core/parallel_region.h"
#include "core/parallel_team.h"
#include "core/parallel_threads.h"

namespace fastnn::parallel {

PollTimer& poll_timer() noexcept {
  static constinit thread_local PollTimer t_timer;
  return t_timer;
}

std::uint64_t waking_calls() noexcept { return WaitQueue::system_calls.load(std::memory_order_relaxed); }

bool Worker::stopped(double flops) noexcept {
  if (thread_ == 0) region_.poll_if_due(flops);
  return region_.stopped();
}

namespace {

Outcome run_alone(Program& program, int first, Poll poll) noexcept {
  Region region(program, poll);
  Worker worker(region, 0);
  for (int phase = first; phase != kEnd; phase = program.finish(phase, region.stopped())) {
    const Index items = program.items(phase);
    const bool may_skip = program.may_skip(phase);
    const double flops = program.item_flops(phase) + kItemFlops;
    for (Index item = 0; item < items && !(may_skip && region.stopped()); ++item) {
      program.run(phase, item, worker);
      region.poll_if_due(flops);
    }
    region.poll_if_due(kItemFlops);
  }
  return {1, region.stopped()};
}

}  // namespace

Outcome run(Program& program, int first, int n_threads, Poll poll) {
  const FloatMode mode;
  const bool on_driver = !has_item_stack();
  int n = std::clamp(n_threads, 1, kMaxThreads);
  if (n > 1) n = std::min(n, omp_get_thread_limit());
  if (n > 1 || on_driver) {
    const Lease team(n);
    if (team && (on_driver || team->size() > 1)) return team->run(program, first, n, poll, on_driver);
  }
  if (on_driver) throw SmallStack();
  return run_alone(program, first, poll);
}

}  // namespace fastnn::parallel
