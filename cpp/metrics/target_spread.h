// How targets spread around their mean, for R2: the number of rows, their weight, and for each output the mean, the sum
// of w (t - mean)^2, the smallest and the largest target. A chunk takes its mean first and then the squares around it;
// chunks are joined by the formula of Chan, Golub and LeVeque (1983). The mean is stored as its distance from the
// smallest target, which is exact. So nothing cancels where targets are large beside their spread, as it does in sums of
// t^2, or in a difference of two rounded means.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <algorithm>
#include <numeric>

#include "metrics/metric.h"

namespace fastnn::metrics {

struct TargetSpread {
  static constexpr bool kSeesPredictions = false;
  enum { kRows, kWeight, kOutputs };                   // where the sums begin
  enum { kMean, kSquares, kLowest, kHighest, kEach };  // of all outputs, after one another
  static bool defined(const Kind& kind) { return kind.outputs == Outputs::kNumbers && kind.each == 1; }
  static Index size(const Kind& kind) { return kOutputs + kEach * kind.columns; }

  template <class T>
  void add(const Kind& kind, const Rows<T>& rows, double* sums) const {
    const Index count = rows.targets.rows;
    sums[kRows] = sums[kWeight] = static_cast<double>(count);
    if (rows.weights) sums[kWeight] = std::accumulate(rows.weights, rows.weights + count, 0.0);
    const auto all = Vec<double>::set(sums[kWeight]);
    for (Index first = 0; first < kind.columns; first += Block<T>::kColumns) {
      Block<T> lowest, highest, mean = Block<T>::zero(), squares = Block<T>::zero();
      lowest.each([&](Index c, Vec<double>& its) { its = load_doubles(rows.targets.row(0) + first + c); });
      highest = lowest;
      // Calls f(v, weight, target) for vector v of each row, in the order of the rows.
      const auto each = [&](auto f) {
        for (Index r = 0; r < count; ++r) {
          const auto weight = Vec<double>::set(rows.weight(r));
          const T* target = rows.targets.row(r) + first;
          for (Index v = 0; v < Block<T>::kVectors; ++v) f(v, weight, load_doubles(target + v * Vec<double>::kLanes));
        }
      };
      each([&](Index v, Vec<double>, Vec<double> target) {
        lowest.of[v] = min(lowest.of[v], target);
        highest.of[v] = max(highest.of[v], target);
      });
      each([&](Index v, Vec<double> weight, Vec<double> target) { mean.of[v] += weight * (target - lowest.of[v]); });
      if (sums[kWeight] > 0)
        mean.each([&](Index, Vec<double>& its) { its = its / all; });
      else
        mean = Block<T>::zero();
      each([&](Index v, Vec<double> weight, Vec<double> target) {
        const auto away = (target - lowest.of[v]) - mean.of[v];
        squares.of[v] += weight * away * away;
      });
      const Block<T>* blocks[kEach] = {&mean, &squares, &lowest, &highest};
      for (int k = 0; k < kEach; ++k)
        blocks[k]->store(sums + kOutputs + k * kind.columns + first, kind.columns - first);
    }
  }
  static void join(const Kind& kind, double* sums, double own, const double* others, double its) {
    const bool first = sums[kRows] == 0;
    const double here = sums[kWeight] * own, there = others[kWeight] * its, all = here + there;
    const double share = all > 0 ? there / all : 0;
    const Index k = kind.columns;
    double* to = sums + kOutputs;
    const double* from = others + kOutputs;
    if (first) std::copy_n(from + kLowest * k, 2 * k, to + kLowest * k);  // and the highest
    for (Index c = 0; c < k; ++c, ++to, ++from) {
      const double lower = std::min(to[kLowest * k], from[kLowest * k]);
      // The distance of the two means.
      const double apart = (from[kLowest * k] - to[kLowest * k]) + (from[kMean * k] - to[kMean * k]);
      to[kSquares * k] = to[kSquares * k] * own + from[kSquares * k] * its + apart * apart * here * share;
      to[kMean * k] = (to[kLowest * k] - lower) + (to[kMean * k] + apart * share);
      to[kLowest * k] = lower;
      to[kHighest * k] = std::max(to[kHighest * k], from[kHighest * k]);
    }
    sums[kRows] += others[kRows];
    sums[kWeight] = all;
  }
};

}  // namespace fastnn::metrics
