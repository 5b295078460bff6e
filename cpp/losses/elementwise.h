// The loop over a row for losses that are sums over outputs, l(out_1, t_1) + ... + l(out_k, t_k). Such a loss defines
// value(z, t) and gradient(z, t) on vectors, which may use its parameters, and link and right if it needs its own.
// Where outputs have different parameters, value and gradient have the column as a third argument. Rows of out, target
// and dout are padded; the padding columns of out and target are not counted.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <algorithm>
#include <array>

#include "core/simd.h"
#include "kernels/reduce.h"
#include "losses/loss.h"

namespace fastnn::losses {

template <class T, class Member>
struct Elementwise {
  static constexpr TargetKind kTarget = TargetKind::kDense;
  static constexpr Task kTask = Task::kRegression;
  static constexpr Mean kMean = Mean::kOutputs;
  using Params = LossParams;
  static constexpr std::array kFields{kReductionOverOutputs<LossParams>};

  double row(const T* out, const T* target, std::int32_t, Index k, T scale, T* dout) const {
    const Member member = static_cast<const Member&>(*this);  // a copy can stay in registers across the stores
    const auto factor = Vec<T>::set(scale);
    kernels::LaneSum sum;
    alignas(kAlign) T line[kPad<T>];
    for (Index c = 0; c < k; c += kPad<T>) {
      for (Index j = 0; j < kPad<T>; j += Vec<T>::kLanes) {
        const auto z = Vec<T>::load(out + c + j), t = Vec<T>::loadu(target + c + j);
        const auto counts = inside<T>(c + j, k);
        if constexpr (requires { member.value(z, t, c); }) {
          select(counts, member.value(z, t, c + j), Vec<T>::zero()).store(line + j);
          if (dout) select(counts, factor * member.gradient(z, t, c + j), Vec<T>::zero()).store(dout + c + j);
        } else {
          select(counts, member.value(z, t), Vec<T>::zero()).store(line + j);
          if (dout) select(counts, factor * member.gradient(z, t), Vec<T>::zero()).store(dout + c + j);
        }
      }
      sum.add(line, kPad<T>);
    }
    return sum.total();
  }
  double right(const T*, const T*, std::int32_t, Index) const { return 0; }
};

// The fraction of the k outputs that are on the same side as their targets: above `boundary` if the target is above
// 1/2.
template <class T>
double right_side(const T* out, const T* target, Index k, T boundary) {
  Index right = 0;
  for (Index j = 0; j < k; ++j) right += (out[j] > boundary) == (target[j] > T(0.5)) ? 1 : 0;
  return static_cast<double>(right) / static_cast<double>(k);
}

}  // namespace fastnn::losses
