// Whether the class of a row is among the k largest outputs. Of equal outputs the last one comes first, as in
// scikit-learn.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <algorithm>
#include <array>
#include <cstring>

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

  // The rows of a vector are compared side by side.
  template <class T>
  void add(const Kind&, const Rows<T>& rows, double* sums) const {
    using Bits = typename Vec<T>::Bits;
    constexpr Index kLanes = Vec<T>::kLanes;
    for (Index first = 0; first < rows.out.rows; first += kLanes) {
      const Index count = std::min(kLanes, rows.out.rows - first);
      alignas(kAlign) T at_own[kLanes] = {};
      typename Vec<T>::Bit classes[kLanes] = {}, counts[kLanes];
      for (Index r = 0; r < count; ++r) {
        const Index own = class_of(rows, first + r);
        at_own[r] = rows.out.row(first + r)[own];
        classes[r] = static_cast<typename Vec<T>::Bit>(own);
      }
      const auto own = Vec<T>::load(at_own);
      Bits its, before{};  // the class of each row, and how many outputs come before its own
      std::memcpy(&its, classes, sizeof(its));
      kernels::by_columns(rows.out.middle_rows(first, count), [&](Index c, Vec<T> out) {
        const auto later = (Bits{} + static_cast<typename Vec<T>::Bit>(c)) > its;
        const auto comes = less(own, out).lanes | (at_most(own, out).lanes & later);
        before -= (Bits)comes;  // a comparison that is true is -1
      });
      std::memcpy(counts, &before, sizeof(counts));
      for (Index r = 0; r < count; ++r)
        if (static_cast<Index>(counts[r]) < most) sums[0] += rows.weight(first + r);
    }
  }

  Index most;
};

}  // namespace fastnn::metrics
