// Gather: copies rows of a caller's array, of any numeric dtype, strides and byte order, into an engine matrix of T.
// Conversion and scaling of inputs happen here only, and only here does the engine branch on the dtype of an array.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "core/types.h"

namespace fastnn::kernels {

enum class DType {
  kBool,
  kInt8,
  kInt16,
  kInt32,
  kInt64,
  kUint8,
  kUint16,
  kUint32,
  kUint64,
  kFloat16,
  kFloat32,
  kFloat64
};

// Where the stored cells of a sparse matrix are (CSR: compressed sparse rows). Those of row r are cells start(r), ...,
// start(r + 1) - 1. Their columns increase strictly, so that a row has at most one cell of each column.
struct SparseCells {
  const void* starts = nullptr;                    // rows + 1 numbers
  const void* columns = nullptr;                   // a number for each cell
  bool wide_starts = false, wide_columns = false;  // of 64 bits, otherwise of 32
  Index start(Index r) const { return at(starts, wide_starts, r); }
  Index column(Index cell) const { return at(columns, wide_columns, cell); }

 private:
  static Index at(const void* numbers, bool wide, Index i) {
    return wide ? static_cast<Index>(static_cast<const std::int64_t*>(numbers)[i])
                : static_cast<Index>(static_cast<const std::int32_t*>(numbers)[i]);
  }
};

// A caller's array, read only. Element (r, c) is at data + r * row_stride + columns[c], in bytes; columns == nullptr:
// the elements of a row are contiguous. Sample weights and labels have cols == 1. Of a sparse matrix, `data` has the
// numbers of the stored cells, without gaps.
struct Source {
  const char* data = nullptr;
  Index rows = 0, cols = 0;
  Index row_stride = 0;
  const Index* columns = nullptr;
  DType dtype = DType::kFloat32;
  bool swapped = false;                // the array has the other byte order
  const SparseCells* cells = nullptr;  // of a sparse matrix, whose other elements are zero
  explicit operator bool() const { return data != nullptr; }
};

// The numbers of some rows: order[first], order[first + 1], ... or, without an order, first, first + 1, ...
struct RowIds {
  const std::int64_t* order = nullptr;
  Index first = 0;
  Index soon = 0;  // so many rows after those of a call are read soon, so that gather may prefetch them
  Index operator[](Index r) const { return order ? static_cast<Index>(order[first + r]) : first + r; }
};

// Scaling of inputs by column, (x - mean) * scale + shift; nullptr where there is none, and a mean has a scale. Values of
// a dtype that T represents exactly are scaled in T. Values of wider dtypes (int32, float64, ... for float) are scaled in
// double with the exact numbers and rounded once, because rounding them first may lose what distinguishes them: seconds
// since 1970 differ in digits that float does not have. If anything is present, exact_scale and exact_shift are, and
// exact_mean if mean is.
template <class T>
struct Scaling {
  const T* scale = nullptr;
  const T* shift = nullptr;
  const T* mean = nullptr;
  const double* exact_scale = nullptr;
  const double* exact_shift = nullptr;
  const double* exact_mean = nullptr;
};

// out.row(r) = (source row ids[r] - mean) * scale + shift as T, padded columns zero. False if any result is not finite.
template <class T>
bool gather(const Source& source, RowIds ids, const Scaling<T>& scaling, Matrix<T> out) noexcept;

// A view of rows [first, first + rows) of `source` itself, if a product can read them there: of type T, aligned to T,
// with nothing to scale. Otherwise the view is empty.
template <class T>
ConstMatrix<T> in_place(const Source& source, const Scaling<T>& scaling, Index first, Index rows) noexcept;

// Are all elements of an array finite?
bool all_finite(const Source& source) noexcept;

// Is x finite, given y = x W + b? An element of x that is Inf or NaN makes its whole row of y Inf or NaN, so only rows
// of x whose first element of y is not finite have to be checked.
template <class T>
bool finite_by_product(ConstMatrix<T> x, ConstMatrix<T> y) noexcept;

// labels[r] = the class of row ids[r]. Returns false if any is not a whole number in [0, n_classes); those become 0.
bool gather_classes(const Source& source, RowIds ids, Index count, Index n_classes, std::int32_t* labels) noexcept;

// Of a column of weights, rows ids[0] to ids[rows - 1]: the smallest weight and the largest absolute value, which is
// infinite if any weight is not finite.
struct Extent {
  double lowest = 0, size = 0;
};
Extent extent(const Source& source, RowIds ids, Index rows) noexcept;

// to[r] = T(w[ids[r]] * factor), multiplied in double. Returns the sum of the results, in row order.
template <class T>
double gather_column(const Source& source, RowIds ids, Index rows, double factor, T* to) noexcept;

// The number that gather stores for `value` in column c of the source.
template <class T>
T scaled(const Source& source, const Scaling<T>& scaling, double value, Index c) noexcept;

// The numbers of `count` stored cells of a sparse matrix as gather stores them, and their columns.
template <class T>
void read_cells(const Source& source, Index first, Index count, const Scaling<T>& scaling, T* values,
                std::int32_t* columns) noexcept;

// One element as double, for error messages; and the number of one stored cell of a sparse matrix.
double element(const Source& source, Index row, Index col) noexcept;
double stored(const Source& source, Index cell) noexcept;

}  // namespace fastnn::kernels
