// -log(p), p the predicted probability of the class of a row, limited to [eps, 1 - eps] with the eps of its type, as in
// scikit-learn. A prediction that is no probability makes the sum NaN.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <algorithm>
#include <limits>

#include "core/simd_math.h"
#include "metrics/metric.h"

namespace fastnn::metrics {

struct LogLoss {
  static constexpr bool kSeesPredictions = true;
  static bool defined(const Kind& kind) {
    const bool one_class = kind.outputs == Outputs::kClasses || (kind.outputs == Outputs::kFlags && kind.columns == 1);
    return one_class && kind.probabilities;
  }
  static Index size(const Kind&) { return 1; }

  template <class T>
  void add(const Kind& kind, const Rows<T>& rows, double* sums) const {
    if (!probabilities(rows.out)) {
      sums[0] = std::numeric_limits<double>::quiet_NaN();
      return;
    }
    constexpr double kLeast = std::numeric_limits<T>::epsilon();
    const auto least = Vec<double>::set(kLeast), most = Vec<double>::set(1 - kLeast);
    alignas(kAlign) double own[kRows] = {};
    for (Index first = 0; first < rows.out.rows; first += kRows) {
      const Index count = std::min(kRows, rows.out.rows - first);
      for (Index r = 0; r < count; ++r) own[r] = of_row(kind, rows, first + r);
      for (Index r = 0; r < kRows; r += Vec<double>::kLanes)
        log(min(max(Vec<double>::load(own + r), least), most)).store(own + r);
      for (Index r = 0; r < count; ++r) sums[0] -= rows.weight(first + r) * own[r];
    }
  }

 private:
  static constexpr Index kRows = 16;  // whose logarithms are taken together

  template <class T>
  static double of_row(const Kind& kind, const Rows<T>& rows, Index r) {
    const T* p = rows.out.row(r);
    if (kind.outputs == Outputs::kClasses) return static_cast<double>(p[class_of(rows, r)]);
    return is_yes(rows.targets.row(r)[0]) ? static_cast<double>(p[0]) : 1 - static_cast<double>(p[0]);
  }
  // Whether all numbers are from 0 to 1.
  template <class T>
  static bool probabilities(ConstMatrix<T> p) {
    const auto zero = Vec<T>::zero(), one = Vec<T>::set(1);
    auto wrong = zero;
    for (Index r = 0; r < p.rows; ++r)
      for (Index c = 0; c < p.cols; c += Vec<T>::kLanes) {
        const auto own = select(inside<T>(c, p.cols), Vec<T>::load(p.row(r) + c), zero);
        wrong = wrong | select(at_most(zero, own), select(at_most(own, one), zero, one), one);
      }
    return all_zero(wrong);
  }
};

}  // namespace fastnn::metrics
