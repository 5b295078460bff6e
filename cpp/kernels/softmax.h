// Softmax and log-softmax of the rows of a matrix, in place; padding columns become zero.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "core/types.h"

namespace fastnn::kernels {

template <class T>
void softmax(Matrix<T> z) noexcept;
template <class T>
void log_softmax(Matrix<T> z) noexcept;

// Softmax or log-softmax of rows in a caller's memory, neither padded nor aligned, into `out`, which may be x. Rows of
// more than kLongRow columns need as many rows of `scratch`.
template <class T>
inline constexpr Index kLongRow = 16384 / static_cast<Index>(sizeof(T));
template <class T>
void softmax_rows(ConstMatrix<T> x, Matrix<T> out, bool log, Matrix<T> scratch) noexcept;

}  // namespace fastnn::kernels
