// The three matrix products of backpropagation, on engine matrices (core/types.h: every row is 64-byte aligned and
// padded, so that the kernels run over whole vectors of columns). Free functions on views without state or allocation.
// Every element of a result is one chain of fused multiply-adds in the order of k that starts from its bias or from
// zero. Blocking changes only which elements are computed together, so a result does not depend on any block size and
// is the same on all levels that have FMA.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "core/types.h"

namespace fastnn::kernels {

// y (m, n) = x (m, k) w (k, n) + bias (n); bias == nullptr stands for no bias. The padded columns of y are computed
// from the padded columns of w and bias: where those are zero, y is zero there, too. The forward pass calls it with w =
// W, the backward pass with w = W^T for dx = dy W^T (pack.h makes W^T).
template <class T>
void product(ConstMatrix<T> x, ConstMatrix<T> w, const T* bias, Matrix<T> y) noexcept;
template <class T>
void product(ConstMatrix<T> x, PackedMatrix<T> w, const T* bias, Matrix<T> y) noexcept;
// y = x w, or y += x w with `accumulate`: product_transposed, given its x transposed. A block of the result then reads rows
// of x^T instead of columns of x, which is faster where rows of x are long.
template <class T>
void product(ConstMatrix<T> x, ConstMatrix<T> w, Matrix<T> y, bool accumulate,
             const PrefetchTargets<T>* prefetch) noexcept;

// c (m, n) = x^T y, or c += x^T y with `accumulate` (each chain continues from the value in c), for x (k, m), y (k, n):
// the gradient of a tile of W. x may start at any column of a padded matrix, so its rows need not be aligned; y and c
// start on a vector boundary. `prefetch`: arrays to prefetch while c is computed, or nullptr.
template <class T>
void product_transposed(ConstMatrix<T> x, ConstMatrix<T> y, Matrix<T> c, bool accumulate = false,
                        const PrefetchTargets<T>* prefetch = nullptr) noexcept;

// dx (m, n) = dy (m, k) w^T, reading w (n, k) row-major, for m so small that transposing w would cost more than the
// product. This is the one product that is not a single chain: each element is summed in as many partial sums as a
// cache line has numbers, and these are then added pairwise, halving their number each time. The order of additions is
// the same for every vector width.
template <class T>
void product_few_rows(ConstMatrix<T> dy, ConstMatrix<T> w, Matrix<T> dx) noexcept;

// sums (n) = column sums of y (k, n) in row order, or sums += with `accumulate`: the gradient of a tile of the bias.
template <class T>
void column_sums(ConstMatrix<T> y, T* sums, bool accumulate = false) noexcept;

}  // namespace fastnn::kernels
