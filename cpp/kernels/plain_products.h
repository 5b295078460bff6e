// Products on arrays of the caller without copies of whole matrices: rows with any stride, neither padded nor aligned.
// The arithmetic is that of gemm.h, with the same micro-kernel and the same chains in the order of k, so the bits are
// the same.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "core/types.h"

namespace fastnn::kernels {

// A matrix of the caller: element (r, c) is data[r * row_stride + c * col_stride], and one of the strides is 1. A
// transpose swaps the strides and moves no memory.
template <class T>
struct Plain {
  const T* data = nullptr;
  Index rows = 0, cols = 0;
  Index row_stride = 0, col_stride = 1;

  const T* at(Index r, Index c) const { return data + r * row_stride + c * col_stride; }
  Plain middle_rows(Index first, Index count) const { return {at(first, 0), count, cols, row_stride, col_stride}; }
  Plain middle_cols(Index first, Index count) const { return {at(0, first), rows, count, row_stride, col_stride}; }
  Plain transposed() const { return {data, cols, rows, col_stride, row_stride}; }
};

// How c (m, n) = a (m, k) b (k, n) is divided into tiles, which are the items that threads work on. It depends on the
// shape alone.
template <class T>
struct Tiling {
  Tiling() = default;
  Tiling(Index m, Index k, Index n) noexcept;
  Index count() const { return row_groups * col_groups; }
  Index rows = 0, cols = 0, row_groups = 0, col_groups = 0;
};

// Computes tile `item` of c (m, n) = a (m, k) b (k, n) + bias (n); bias == nullptr stands for no bias. c must not
// overlap the other operands.
template <class T>
void plain_product(Plain<T> a, Plain<T> b, const T* bias, Matrix<T> c, const Tiling<T>& tiling, Index item) noexcept;

// sums = column sums of y in row order, with the bits of column_sums in gemm.h.
template <class T>
void plain_column_sums(Plain<T> y, T* sums) noexcept;

}  // namespace fastnn::kernels
