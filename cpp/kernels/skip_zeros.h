// The three products of a Linear whose factor x or dy has many zeros (what comes out of a ReLU, and its gradient; pixels,
// counts, one-hot codes): the terms of zeros are left out. The results have the bits of the dense products
// (kernels/gemm.h): an element is one chain of fused multiply-adds in the order of k, which the term of a zero leaves as
// it is. So whether zeros are skipped may be decided anew for each block, by a look at a few of its rows.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "core/types.h"

namespace fastnn::kernels {

// Does a product whose result has so many columns take less time without the zeros of a? Looks at a few rows. The rows
// of a may be at any address.
template <class T>
bool worth_skipping(ConstMatrix<T> a, Index columns) noexcept;

// y = x W + bias, as `product`. The rows of x may be at any address.
template <class T>
void product_skipping_zeros(ConstMatrix<T> x, ConstMatrix<T> w, const T* bias, Matrix<T> y) noexcept;
template <class T>
void product_skipping_zeros(ConstMatrix<T> x, PackedMatrix<T> w, const T* bias, Matrix<T> y) noexcept;
// y = x w, or y += x w with `accumulate`, as the `product` that is given x^T.
template <class T>
void product_skipping_zeros(ConstMatrix<T> x, ConstMatrix<T> w, Matrix<T> y, bool accumulate,
                            const PrefetchTargets<T>* prefetch) noexcept;
// c = x^T y, or c += x^T y with `accumulate`, as `product_transposed`.
template <class T>
void product_transposed_skipping_zeros(ConstMatrix<T> x, ConstMatrix<T> y, Matrix<T> c, bool accumulate,
                                       const PrefetchTargets<T>* prefetch) noexcept;

}  // namespace fastnn::kernels
