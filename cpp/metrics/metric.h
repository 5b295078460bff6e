// The contract of a metric that is a sum over rows. Sums are taken in double, row after row, so that they depend on the
// division of the rows into chunks alone: lanes of vectors are columns, or rows whose numbers are then added in order.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "core/simd.h"
#include "kernels/reduce.h"
#include "metrics/registry.h"

namespace fastnn::metrics {

// A member is a struct like this (see absolute_error.h and top_k.h):
//   struct TopK {
//     using Params = TopKParams;                    // with kFields, if it has parameters
//     static constexpr bool kSeesPredictions;       // or the raw outputs
//     static bool defined(const Kind& kind);
//     static Index size(const Kind& kind);
//     template <class T> void add(const Kind& kind, const Rows<T>& rows, double* sums) const;
//     // If adding the sums of other rows, times the factors, is not enough:
//     static void join(const Kind& kind, double* sums, double own, const double* others, double its);
//   };

template <class T, class M>
void add_rows(const Values& values, const Kind& kind, const Rows<T>& rows, double* sums) noexcept {
  made<M>(values).template add<T>(kind, rows, sums);
}

inline void join_sums(double* sums, double own, const double* others, double its, Index count) noexcept {
  for (Index i = 0; i < count; ++i) sums[i] = sums[i] * own + others[i] * its;
}

template <class M>
void join_all(const Kind& kind, double* sums, double own, const double* others, double its) noexcept {
  if constexpr (requires { M::join(kind, sums, own, others, its); })
    M::join(kind, sums, own, others, its);
  else
    join_sums(sums, own, others, its, M::size(kind));
}

template <class M>
constexpr Row entry(const char* name, const char* class_name, const char* formula) {
  return {row_of<M>(name, class_name, formula),
          M::kSeesPredictions,
          M::defined,
          M::size,
          join_all<M>,
          add_rows<float, M>,
          add_rows<double, M>};
}

// A number in double for each column of one cache line of rows. Rows are padded, so all columns of a line can be read;
// those beyond the last one are not stored.
template <class T>
struct Block {
  static constexpr Index kColumns = kPad<T>, kVectors = kColumns / Vec<double>::kLanes;
  Vec<double> of[kVectors];

  static Block zero() noexcept {
    Block block;
    block.each([](Index, Vec<double>& its) { its = Vec<double>::zero(); });
    return block;
  }
  // Calls f(c, its) for each vector, whose first column is c.
  template <class F>
  [[gnu::always_inline]] void each(F f) noexcept {
#pragma GCC unroll 8
    for (Index v = 0; v < kVectors; ++v) f(v * Vec<double>::kLanes, of[v]);
  }
  // Stores the numbers of the first `count` columns.
  void store(double* to, Index count) const noexcept {
    constexpr Index kLanes = Vec<double>::kLanes;
#pragma GCC unroll 8
    for (Index v = 0; v < kVectors; ++v) {
      if ((v + 1) * kLanes <= count) {
        of[v].storeu(to + v * kLanes);
        continue;
      }
      double lanes[kLanes];
      of[v].storeu(lanes);
      for (Index c = v * kLanes; c < count; ++c) to[c] = lanes[c - v * kLanes];
      return;
    }
  }
};

// Whether a target that is a yes or no is a yes.
template <class T>
bool is_yes(T target) {
  return target > T(0.5);
}

// The class of row r, or of the largest of its probabilities.
template <class T>
Index class_of(const Rows<T>& rows, Index r) {
  return rows.classes ? rows.classes[r] : kernels::first_largest(rows.targets.row(r), rows.targets.cols);
}

}  // namespace fastnn::metrics
