// The three products of backpropagation, with plain accumulation semantics on engine matrices.
// Free functions on views: no state, no allocation, no names of layers. Rows and strides as in core/types.h:
// every row 64-byte aligned and padded, so kernels run over whole vectors of columns.
// Every output element is one chain of fused multiply-adds in k order, started from its bias (or zero), however
// rows and columns are blocked: results depend on no tile size, and agree between levels that have FMA.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "core/types.h"

namespace fastnn::kernels {

// y (m, n) = x (m, k) w (k, n) + bias (n), bias == nullptr for none. Padded columns of y come from padded columns
// of w and bias (zero there: zero here). Serves forward (w = W) and dx = dy W^T (w = W^T, see
// panels.h).
template <class T>
void product(ConstMatrix<T> x, ConstMatrix<T> w, const T* bias, Matrix<T> y) noexcept;
template <class T>
void product(ConstMatrix<T> x, Panels<T> w, const T* bias, Matrix<T> y) noexcept;

// c (m, n) = x^T y, or c += x^T y with `onto` (the chains go on where they ended), for x (k, m), y (k, n): dW of a tile.
// x may start at any column of a padded matrix (its rows need not be aligned); y and c start on a vector boundary.
// ahead: what will be needed with c, asked for meanwhile.
template <class T>
void product_transposed(ConstMatrix<T> x, ConstMatrix<T> y, Matrix<T> c, bool onto = false,
                        const Ahead<T>* ahead = nullptr) noexcept;

// dx (m, n) = dy (m, k) w^T for w (n, k) as it lies, where m is so small that a transpose of w would cost more than the
// product. The one product that is no chain: each element is a sum over a cache line of lanes, folded by halves, the
// same whatever the vector's width.
template <class T>
void product_few(ConstMatrix<T> dy, ConstMatrix<T> w, Matrix<T> dx) noexcept;

// sums (n) = column sums of y (k, n) in row order, or added onto them: db of a tile.
template <class T>
void column_sums(ConstMatrix<T> y, T* sums, bool onto = false) noexcept;

}  // namespace fastnn::kernels
