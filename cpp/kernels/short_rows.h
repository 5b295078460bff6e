// Softmax of several short rows at once, with one row in each lane of the vectors. Computed alone, a row of ten logits
// would spend most of its time on padding and on the maximum and the sum over the lanes of a vector.
// The sums run over the columns in order, in double, so the results do not depend on the width of the vectors.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <algorithm>
#include <limits>

#include "core/simd_math.h"
#include "core/types.h"

namespace fastnn::kernels {

inline constexpr Index kShortRow = 32;  // columns at most; longer rows fill vectors by themselves

// Is it faster to compute rows of k columns together? It is from four rows on.
constexpr bool side_by_side(Index rows, Index k) { return rows >= 4 && k > 0 && k <= kShortRow; }

template <class T>
class ShortRows {
 public:
  static constexpr Index kRows = Vec<T>::kLanes;

  // Computes, for up to kRows rows of at most kShortRow logits, the largest logit, exp(z - largest) and their sum.
  explicit ShortRows(ConstMatrix<T> z) noexcept : rows_(z.rows), cols_(z.cols) {
    Index first = 0;
    do transpose_in(z, first);  // a row has a column at least
    while ((first += kRows) < cols_);
    auto top = Vec<T>::load(e_[0]);
    for (Index c = 1; c < cols_; ++c) top = max(top, Vec<T>::load(e_[c]));
    top.store(largest_);
    for (Index c = 0; c < cols_; ++c) exp(Vec<T>::load(e_[c]) - top).store(e_[c]);
    for (Index c = 0; c < cols_; ++c)
      for (Index r = 0; r < kRows; ++r) sum_[r] += static_cast<double>(e_[c][r]);
  }
  double largest(Index r) const { return static_cast<double>(largest_[r]); }
  double exponential(Index r, Index c) const { return static_cast<double>(e_[c][r]); }
  double sum(Index r) const { return sum_[r]; }
  // Stores the logarithm of each row's sum: kRows numbers.
  void log_sums(double* to) const noexcept {
    for (Index r = 0; r < kRows; r += Vec<double>::kLanes) log(Vec<double>::load(sum_ + r)).store(to + r);
  }

  // to.row(r) = factor[r] * exp(z - largest), and zero in the padding columns.
  void store(const T* factor, Matrix<T> to) const noexcept {
    const auto scale = Vec<T>::load(factor);
    for (Index c = 0; c < padded<T>(cols_); c += kRows) {
      Vec<T> square[kRows];
#pragma GCC unroll 16
      for (Index j = 0; j < kRows; ++j) square[j] = c + j < cols_ ? scale * Vec<T>::load(e_[c + j]) : Vec<T>::zero();
      transpose_square(square);
      for (Index r = 0; r < rows_; ++r) square[r].store(to.row(r) + c);
    }
  }

 private:
  // The lanes of missing rows get copies of the last row, so that they hold ordinary numbers; their results are not
  // used.
  void transpose_in(ConstMatrix<T> z, Index c) noexcept {
    Vec<T> square[kRows];
#pragma GCC unroll 16
    for (Index r = 0; r < kRows; ++r) square[r] = Vec<T>::load(z.row(std::min(r, rows_ - 1)) + c);
    transpose_square(square);
#pragma GCC unroll 16
    for (Index j = 0; j < kRows; ++j) square[j].store(e_[c + j]);
  }

  Index rows_, cols_;
  alignas(kAlign) T e_[kShortRow][kRows];  // column by column
  alignas(kAlign) T largest_[kRows];
  alignas(kAlign) double sum_[kRows] = {};
};

}  // namespace fastnn::kernels
