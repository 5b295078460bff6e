// Counts of each class, or of each yes or no: the weights of the rows that are of it, of those that are said to be of
// it, and of those that are both; and the number of rows that are one of these at least. Precision, recall, F1 and the
// confusion counts follow from them, with all averages. The last numbers tell which classes occur: an average over
// classes leaves out the others, and a class all of whose rows have weight 0 does occur.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "metrics/metric.h"

namespace fastnn::metrics {

struct Confusion {
  static constexpr bool kSeesPredictions = false;
  enum { kTrue, kSaid, kBoth, kOccurs, kEach };
  static bool defined(const Kind& kind) { return kind.outputs != Outputs::kNumbers; }
  static Index size(const Kind& kind) { return kEach * kind.classes(); }

  template <class T>
  void add(const Kind& kind, const Rows<T>& rows, double* sums) const {
    const Index classes = kind.classes();
    const auto count = [&](Index is, Index said, double weight) {
      sums[kTrue * classes + is] += weight;
      sums[kSaid * classes + said] += weight;
      if (is == said) sums[kBoth * classes + is] += weight;
      sums[kOccurs * classes + is] += 1;
      if (is != said) sums[kOccurs * classes + said] += 1;
    };
    for (Index r = 0; r < rows.out.rows; ++r) {
      const T* out = rows.out.row(r);
      const double weight = rows.weight(r);
      if (kind.outputs == Outputs::kClasses) {
        count(class_of(rows, r), kernels::first_largest(out, kind.columns), weight);
        continue;
      }
      const T* target = rows.targets.row(r);
      const auto says = [&](Index c) { return static_cast<double>(out[c]) > kind.boundary; };
      if (kind.columns == 1) {
        count(is_yes(target[0]) ? 1 : 0, says(0) ? 1 : 0, weight);
        continue;
      }
      for (Index c = 0; c < classes; ++c) {
        const bool is = is_yes(target[c]), said = says(c);
        if (is) sums[kTrue * classes + c] += weight;
        if (said) sums[kSaid * classes + c] += weight;
        if (is && said) sums[kBoth * classes + c] += weight;
        sums[kOccurs * classes + c] += 1;  // each label counts in an average, whether it occurs or not
      }
    }
  }
  static void join(const Kind& kind, double* sums, double own, const double* others, double its) {
    const Index weights = kOccurs * kind.classes();
    join_sums(sums, own, others, its, weights);
    join_sums(sums + weights, 1, others + weights, 1, kind.classes());
  }
};

}  // namespace fastnn::metrics
