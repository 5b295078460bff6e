// Softmax of a matrix's rows, in place; padded columns become zero.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "core/types.h"

namespace fastnn::kernels {

template <class T>
void softmax(Matrix<T> z) noexcept;
template <class T>
void log_softmax(Matrix<T> z) noexcept;

// Of rows as a caller has them, neither padded nor aligned, into `out`, which may be x. Rows of more than kLongRow
// columns need a row of `scratch` each.
template <class T>
inline constexpr Index kLongRow = 16384 / static_cast<Index>(sizeof(T));
template <class T>
void softmax_rows(ConstMatrix<T> x, Matrix<T> out, bool log, Matrix<T> scratch) noexcept;

}  // namespace fastnn::kernels
