// SPDX-License-Identifier: BSD-3-Clause
#include "core/parallel.h"

#include <omp.h>

#include <algorithm>

#include "core/float_mode.h"
#include "core/parallel_region.h"
#include "core/parallel_team.h"
#include "core/parallel_threads.h"

namespace fastnn::parallel {

Pulse& pulse() noexcept {
  static constinit thread_local Pulse t_pulse;
  return t_pulse;
}

bool Worker::stopped(double flops) noexcept {
  if (thread_ == 0) region_.look(flops);
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
      region.look(flops);
    }
    region.look(kItemFlops);
  }
  return {1, region.stopped()};
}

}  // namespace

Outcome run(Program& program, int first, int n_threads, Poll poll) {
  const FloatMode mode;
  const bool lend_stack = !has_item_stack();
  int n = std::clamp(n_threads, 1, kMaxThreads);
  if (n > 1) n = std::min(n, omp_get_thread_limit());
  if (n > 1 || lend_stack) {
    const Lease team(n);
    if (team && (lend_stack || team->size() > 1)) return team->run(program, first, n, poll, lend_stack);
  }
  if (lend_stack) throw SmallStack();
  return run_alone(program, first, poll);
}

}  // namespace fastnn::parallel
