// Gather: rows of a caller's array, in any numeric dtype, stride and byte order, into an engine matrix of T.
// The only branch on a source's dtype in the engine; conversion and input scaling happen here and nowhere else.
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

// The caller's memory, read only. Element (r, c) lies at data + r * row_stride + columns[c] bytes;
// columns == nullptr: elements of a row are contiguous. A row of weights or labels has cols == 1.
struct Source {
  const char* data = nullptr;
  Index rows = 0, cols = 0;
  Index row_stride = 0;
  const Index* columns = nullptr;
  DType dtype = DType::kFloat32;
  bool swapped = false;  // the other byte order
  explicit operator bool() const { return data != nullptr; }
};

// Which rows: order[first], order[first + 1], ... or, without an order, first, first + 1, ...
struct RowIds {
  const std::int64_t* order = nullptr;
  Index first = 0;
  Index operator[](Index r) const { return order ? static_cast<Index>(order[first + r]) : first + r; }
  RowIds from(Index r) const { return {order, first + r}; }
};

// Per-column input scaling x * scale + shift; nullptr where there is none. Values of dtypes that T holds are scaled as
// T; those of wider ones (int32, float64, ... for float) in double with the exact factors, and rounded once: seconds
// since 1970 differ in digits that float does not have. exact_scale and exact_shift are both there if any of the four is.
template <class T>
struct Scaling {
  const T* scale = nullptr;
  const T* shift = nullptr;
  const double* exact_scale = nullptr;
  const double* exact_shift = nullptr;
};

// out.row(r) = source row ids[r] * scale + shift as T, padded columns zero. False if any result is not finite.
template <class T>
bool gather(const Source& source, RowIds ids, Scaling<T> scaling, Matrix<T> out) noexcept;

// Rows [first, first + rows) of `source` as they lie, where a product may read them there: nothing to convert or to
// scale. Empty otherwise.
template <class T>
ConstMatrix<T> in_place(const Source& source, Scaling<T> scaling, Index first, Index rows) noexcept;

// Is x finite, of which y = x W + b was just made? An element that is not leaves no finite one in its row of y, so one
// column of y tells which rows of x to look at.
template <class T>
bool finite_by_product(ConstMatrix<T> x, ConstMatrix<T> y) noexcept;

// labels[r] = the class of row ids[r]. False if any is not a whole number in [0, n_classes); those become 0.
bool gather_classes(const Source& source, RowIds ids, Index count, Index n_classes, std::int32_t* labels) noexcept;

// A column of weights: the smallest and the largest |w| of rows ids[0] to ids[rows - 1]; infinite where one is not finite.
struct Extent {
  double lowest = 0, size = 0;
};
Extent extent(const Source& source, RowIds ids, Index rows) noexcept;

// to[r] = T(w[ids[r]] * factor), multiplied in double. Returns the sum of the results, in row order.
template <class T>
double gather_column(const Source& source, RowIds ids, Index rows, double factor, T* to) noexcept;

// What gather makes of `value` in column c of the source.
template <class T>
T scaled(const Source& source, Scaling<T> scaling, double value, Index c) noexcept;

// One element as double, for messages.
double element(const Source& source, Index row, Index col) noexcept;

}  // namespace fastnn::kernels
