// How targets spread around their mean, for R2: the number of rows, their weight, and for each output the mean, the sum
// of w (t - mean)^2, the smallest and the largest target. A chunk takes its mean first and then the squares around it;
// chunks are joined by the formula of Chan, Golub and LeVeque (1983). The mean is stored as its distance from the
// smallest target, which is exact. So nothing cancels where targets are large beside their spread, as it does in sums of
// t^2, or in a difference of two rounded means.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <algorithm>

#include "metrics/metric.h"

namespace fastnn::metrics {

struct TargetSpread {
  static constexpr bool kSeesPredictions = false;
  enum { kRows, kWeight, kOutputs };                   // where the sums begin
  enum { kMean, kSquares, kLowest, kHighest, kEach };  // of an output
  static bool defined(const Kind& kind) { return kind.outputs == Outputs::kNumbers && kind.each == 1; }
  static Index size(const Kind& kind) { return kOutputs + kEach * kind.columns; }

  template <class T>
  void add(const Kind& kind, const Rows<T>& rows, double* sums) const {
    const Index count = rows.targets.rows;
    // Row by row, as they lie in memory.
    const auto each = [&](auto add) {
      for (Index r = 0; r < count; ++r) {
        const T* target = rows.targets.row(r);
        const double weight = rows.weight(r);
        double* its = sums + kOutputs;
        for (Index c = 0; c < kind.columns; ++c, its += kEach) add(weight, static_cast<double>(target[c]), its);
      }
    };
    sums[kRows] = static_cast<double>(count);
    for (Index r = 0; r < count; ++r) sums[kWeight] += rows.weight(r);
    for (Index c = 0; c < kind.columns; ++c)
      sums[kOutputs + kEach * c + kLowest] = sums[kOutputs + kEach * c + kHighest] =
          static_cast<double>(rows.targets.row(0)[c]);
    each([](double, double target, double* its) {
      its[kLowest] = std::min(its[kLowest], target);
      its[kHighest] = std::max(its[kHighest], target);
    });
    each([](double weight, double target, double* its) { its[kMean] += weight * (target - its[kLowest]); });
    for (Index c = 0; c < kind.columns; ++c) {
      double& mean = sums[kOutputs + kEach * c + kMean];
      mean = sums[kWeight] > 0 ? mean / sums[kWeight] : 0;
    }
    each([](double weight, double target, double* its) {
      const double away = (target - its[kLowest]) - its[kMean];
      its[kSquares] += weight * away * away;
    });
  }
  static void join(const Kind& kind, double* sums, double own, const double* others, double its) {
    const bool first = sums[kRows] == 0;
    const double here = sums[kWeight] * own, there = others[kWeight] * its, all = here + there;
    for (Index c = 0; c < kind.columns; ++c) {
      double* to = sums + kOutputs + kEach * c;
      const double* from = others + kOutputs + kEach * c;
      if (first) to[kLowest] = from[kLowest], to[kHighest] = from[kHighest];
      const double lower = std::min(to[kLowest], from[kLowest]);
      const double apart = (from[kLowest] - to[kLowest]) + (from[kMean] - to[kMean]);  // of the two means
      const double share = all > 0 ? there / all : 0;
      to[kSquares] = to[kSquares] * own + from[kSquares] * its + apart * apart * here * share;
      to[kMean] = (to[kLowest] - lower) + (to[kMean] + apart * share);
      to[kLowest] = lower;
      to[kHighest] = std::max(to[kHighest], from[kHighest]);
    }
    sums[kRows] += others[kRows];
    sums[kWeight] = all;
  }
};

}  // namespace fastnn::metrics
