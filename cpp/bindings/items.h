// Runs the independent items of one call on the caller's arrays: on threads, without the GIL, polling for signals.
// Short work runs on the calling thread, which then keeps the GIL.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <algorithm>
#include <utility>

#include "bindings/border.h"
#include "core/check.h"
#include "train/model.h"

namespace fastnn::bindings {

// If the caller has given no number of threads, less work than this runs on one thread. In floating-point operations at
// the speed of the matrix products.
inline constexpr double kWorthThreads = 1.5e6;

template <class F>
class Items final : public parallel::Program {
 public:
  Items(Index count, double flops, F& f) : count_(count), flops_(flops), f_(f) {}
  Index items(int) const noexcept override { return count_; }
  double item_flops(int) const noexcept override { return flops_ / static_cast<double>(count_); }
  bool may_skip(int) const noexcept override { return true; }
  void run(int, Index item, parallel::Worker&) noexcept override { f_(item); }
  int finish(int, bool) noexcept override { return parallel::kEnd; }

 private:
  Index count_;
  double flops_;
  F& f_;
};

// Calls f(item) for every item of [0, count) on n_threads threads, or, if that is 0, on as many as pay off for `flops`
// operations in total.
template <class F>
void run_items(Index count, double flops, int n_threads, F f) {
  if (count <= 0) return;
  if (n_threads == 0) {
    static thread_local parallel::LimitsNow limits;
    n_threads = flops < kWorthThreads || count == 1 ? 1 : limits.available();
    n_threads = parallel::threads_without_waking(static_cast<int>(std::min<Index>(n_threads, count)), flops);
  }
  n_threads = static_cast<int>(std::min<Index>(n_threads, count));
  if (n_threads == 1 && flops < run::kBriefFlops && parallel::has_item_stack()) {
    const FloatMode mode;
    for (Index item = 0; item < count; ++item) f(item);
    return;
  }
  Items<F> program(count, flops, f);
  const WithoutGil free;
  if (parallel::run(program, 0, n_threads, signal_poll()).stopped) throw train::Interrupted();
}

}  // namespace fastnn::bindings
