// The first product of backpropagation and the gradient of its W on sparse rows, which cost by their stored cells. The
// results have the bits of the dense products (kernels/gemm.h): an element is one chain of fused multiply-adds in the
// order of k, which a zero in x leaves as it is.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "kernels/gather.h"

namespace fastnn::kernels {

// Rows of a sparse matrix, scaled without a mean or shift, so that zeros stay zeros.
template <class T>
struct SparseRows {
  const Source* source = nullptr;
  RowIds ids;
  Scaling<T> scaling;

  Index first_cell(Index r) const { return source->cells->start(ids[r]); }
  Index cells(Index r) const { return source->cells->start(ids[r] + 1) - first_cell(r); }
};

// One stored cell of a batch: its number, its row in the batch, and its column in its block of columns.
template <class T>
struct Cell {
  T value;
  std::int32_t row, column;
};

// The cells of a batch, sorted by chunks of its rows, then by blocks of `width` columns, then by rows. Those of block b
// in chunk k are from starts[k * (blocks + 1) + b] up to the next of these numbers.
template <class T>
struct CellBlocks {
  Cell<T>* cells = nullptr;
  Index* starts = nullptr;
  Index width = 1, blocks = 0, chunk_rows = 1;
};

template <class T>
struct SparseBatch {
  SparseRows<T> rows;
  CellBlocks<T> blocks;
};

// The mean number of stored cells of a row.
double mean_cells(const Source& source) noexcept;

// Are all numbers of rows [first, first + count) finite after scaling?
template <class T>
bool finite_cells(const SparseRows<T>& x, Index first, Index count) noexcept;

// Sorts the cells of rows [first, first + count), which are chunk `chunk` and begin at cell `at` of the batch. Returns
// false if a number is not finite.
template <class T>
bool sort_cells(const SparseRows<T>& x, Index first, Index count, Index chunk, Index at,
                const CellBlocks<T>& to) noexcept;

// The largest absolute value of the cells of a chunk.
template <class T>
double max_abs_cell(const CellBlocks<T>& x, Index chunk) noexcept;

// y = x W + bias for the rows of x from `first` on, as `product` of dense rows.
template <class T>
void sparse_product(const SparseRows<T>& x, Index first, ConstMatrix<T> w, const T* bias, Matrix<T> y) noexcept;

// c = x^T y, or c += x^T y with `accumulate`, where x are as many rows as y has, from `first` on, and the columns of
// block `block`: the gradient of a tile of W. `prefetch`: arrays to prefetch, or nullptr.
template <class T>
void sparse_product_transposed(const CellBlocks<T>& x, Index block, Index first, ConstMatrix<T> y, Matrix<T> c,
                               bool accumulate, const PrefetchTargets<T>* prefetch) noexcept;

}  // namespace fastnn::kernels
