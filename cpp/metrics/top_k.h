// Whether the class of a row is among the k largest outputs. Of equal outputs the last one comes first, as in
// scikit-learn.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <array>

#include "metrics/metric.h"

namespace fastnn::metrics {

struct TopKParams {
  Index k = 5;
};

struct TopK {
  using Params = TopKParams;
  static constexpr std::array kFields{field<&Params::k>("k", at_least(1), "how many of the largest outputs", tries(2))};
  static constexpr bool kSeesPredictions = false;
  static bool defined(const Kind& kind) { return kind.outputs == Outputs::kClasses; }
  static Index size(const Kind&) { return 1; }
  explicit TopK(const Params& p) : most(p.k) {}

  template <class T>
  void add(const Kind& kind, const Rows<T>& rows, double* sums) const {
    for (Index r = 0; r < rows.out.rows; ++r) {
      const T* out = rows.out.row(r);
      const Index own = class_of(rows, r);
      Index before = 0;
      for (Index c = 0; c < kind.columns; ++c) before += out[c] > out[own] || (out[c] == out[own] && c > own) ? 1 : 0;
      if (before < most) sums[0] += rows.weight(r);
    }
  }

  Index most;
};

}  // namespace fastnn::metrics
