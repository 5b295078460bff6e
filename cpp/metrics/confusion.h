// Counts of each class, or of each yes or no: the weights of the rows that are of it, of those that are said to be of
// it, and of those that are both; and the number of rows that are one of these at least. Precision, recall, F1 and the
// confusion counts follow from them, with all averages. The last numbers tell which classes occur: an average over
// classes leaves out the others, and a class all of whose rows have weight 0 does occur.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <algorithm>

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
    // What does not count is added as 0: whether a row is right cannot be foretold, so branches would take longer.
    const auto count = [&](Index is, Index said, double weight) {
      const bool right = is == said;
      sums[kTrue * classes + is] += weight;
      sums[kSaid * classes + said] += weight;
      sums[kBoth * classes + is] += right ? weight : 0;
      sums[kOccurs * classes + is] += 1;
      sums[kOccurs * classes + said] += right ? 0 : 1;
    };
    if (kind.outputs == Outputs::kClasses)
      kernels::each_first_largest(rows.out,
                                  [&](Index r, Index said) { count(class_of(rows, r), said, rows.weight(r)); });
    else if (kind.columns == 1)
      for (Index r = 0; r < rows.out.rows; ++r)
        count(is_yes(rows.targets.row(r)[0]) ? 1 : 0, static_cast<double>(rows.out.row(r)[0]) > kind.boundary ? 1 : 0,
              rows.weight(r));
    else
      add_labels(kind, rows, sums);
  }
  static void join(const Kind& kind, double* sums, double own, const double* others, double its) {
    const Index weights = kOccurs * kind.classes();
    join_sums(sums, own, others, its, weights);
    join_sums(sums + weights, 1, others + weights, 1, kind.classes());
  }

 private:
  // Several labels, each a yes or no. Each counts in an average, whether it occurs or not.
  template <class T>
  static void add_labels(const Kind& kind, const Rows<T>& rows, double* sums) {
    const auto boundary = Vec<double>::set(kind.boundary), half = Vec<double>::set(0.5), zero = Vec<double>::zero();
    for (Index first = 0; first < kind.columns; first += Block<T>::kColumns) {
      Block<T> of[kOccurs] = {Block<T>::zero(), Block<T>::zero(), Block<T>::zero()};
      for (Index r = 0; r < rows.out.rows; ++r) {
        const auto weight = Vec<double>::set(rows.weight(r));
        for (Index v = 0; v < Block<T>::kVectors; ++v) {
          const Index c = first + v * Vec<double>::kLanes;
          const auto true_ = select(less(half, load_doubles(rows.targets.row(r) + c)), weight, zero);
          const auto said = less(boundary, load_doubles(rows.out.row(r) + c));
          of[kTrue].of[v] += true_;
          of[kSaid].of[v] += select(said, weight, zero);
          of[kBoth].of[v] += select(said, true_, zero);
        }
      }
      for (int k = 0; k < kOccurs; ++k) of[k].store(sums + k * kind.columns + first, kind.columns - first);
    }
    std::fill_n(sums + kOccurs * kind.columns, kind.columns, static_cast<double>(rows.out.rows));
  }
};

}  // namespace fastnn::metrics
