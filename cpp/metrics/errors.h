// Sums over rows of a function of the error of each output, one sum for each output: w of(p, t). A prediction p belongs
// to one target t; losses with several outputs for a target have no such errors.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "metrics/metric.h"

namespace fastnn::metrics {

template <class Member>
struct Errors {
  static constexpr bool kSeesPredictions = true;
  static bool defined(const Kind& kind) { return kind.outputs == Outputs::kNumbers && kind.each == 1; }
  static Index size(const Kind& kind) { return kind.columns; }

  template <class T>
  void add(const Kind& kind, const Rows<T>& rows, double* sums) const {
    for (Index first = 0; first < kind.columns; first += Block<T>::kColumns) {
      auto its = Block<T>::zero();
      for (Index r = 0; r < rows.out.rows; ++r) {
        const auto weight = Vec<double>::set(rows.weight(r));
        const T *p = rows.out.row(r) + first, *t = rows.targets.row(r) + first;
        its.each(
            [&](Index c, Vec<double>& sum) { sum += weight * Member::of(load_doubles(p + c), load_doubles(t + c)); });
      }
      its.store(sums + first, kind.columns - first);
    }
  }
};

}  // namespace fastnn::metrics
