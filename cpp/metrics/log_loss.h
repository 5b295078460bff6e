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
    constexpr double kLeast = std::numeric_limits<T>::epsilon(), kNone = std::numeric_limits<double>::quiet_NaN();
    for (Index r = 0; r < rows.out.rows; ++r) {
      const T* p = rows.out.row(r);
      bool valid = true;
      for (Index c = 0; c < kind.columns; ++c) valid = valid && p[c] >= 0 && p[c] <= 1;
      double own = 0;
      if (kind.outputs == Outputs::kClasses)
        own = static_cast<double>(p[class_of(rows, r)]);
      else
        own = is_yes(rows.targets.row(r)[0]) ? static_cast<double>(p[0]) : 1 - static_cast<double>(p[0]);
      sums[0] -= valid ? rows.weight(r) * log(std::clamp(own, kLeast, 1 - kLeast)) : kNone;
    }
  }
};

}  // namespace fastnn::metrics
