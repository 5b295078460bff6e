// Quantile or pinball loss: with q quantiles there are q k outputs for k targets, first the k outputs of the first
// quantile, then those of the second, and so on. l = p e for an error e = target - out > 0 and (p - 1) e below, whose
// mean is smallest where out is the p-quantile of the targets (Koenker and Bassett 1978). At e = 0 the gradient is 0.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <array>

#include "losses/blocks.h"

namespace fastnn::losses {

struct QuantileParams {
  static constexpr double kThree[] = {0.1, 0.5, 0.9};
  Reduction reduction = Reduction::kMean;
  Reals quantiles{kThree, 3};
};

template <class T>
struct Quantile {
  using Params = QuantileParams;
  static constexpr std::array kFields{
      kReductionOverOutputs<Params>,
      field<&Params::quantiles>("quantiles", within(0, 1), "probabilities that a target is below its output",
                                tries(0.25, 0.8))};
  static constexpr TargetKind kTarget = TargetKind::kDense;
  static constexpr Task kTask = Task::kRegression;
  static constexpr Mean kMean = Mean::kOutputs;
  static constexpr const char* kNote =
      "There are q k outputs for k targets and q quantiles: first the k outputs of the first quantile, then those of "
      "the "
      "second, and so on.";
  static Index outputs_per_target(const Params& p) { return static_cast<Index>(p.quantiles.size); }
  explicit Quantile(const Params& p) : quantiles(p.quantiles) {}

  double row(const T* out, const T* target, std::int32_t, Index k, T scale, T* dout) const {
    const Index n = k / static_cast<Index>(quantiles.size);
    const auto factor = Vec<T>::set(scale), zero = Vec<T>::zero();
    kernels::LaneSum sum;
    Block<T> block, line;
    for (Index first = 0; first < k; first += n) {
      const double p = quantiles.data[first / n];
      const auto below = Vec<T>::set(static_cast<T>(p)), above = Vec<T>::set(static_cast<T>(p - 1));
      for (Index c = 0; c < n; c += kPad<T>) {
        block.read(out + first, c, n);
        for (Index j = 0; j < kPad<T>; j += Vec<T>::kLanes) {
          const auto e = Vec<T>::loadu(target + c + j) - block.at(j);
          const auto slope = select(less(zero, e), below, select(less(e, zero), above, e));  // e: zero, or NaN
          line.set(j, select(inside<T>(c + j, n), slope * e, zero));
          block.set(j, -(factor * slope));
        }
        sum.add(line.data(), kPad<T>);
        if (dout) block.write(dout + first, c, n);
      }
    }
    if (dout) std::fill(dout + k, dout + padded<T>(k), T(0));
    return sum.total();
  }
  double right(const T*, const T*, std::int32_t, Index) const { return 0; }

  Reals quantiles;
};

}  // namespace fastnn::losses
