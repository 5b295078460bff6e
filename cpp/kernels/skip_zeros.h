// The three products of a Linear whose factor x or dy has many zeros (what comes out of a ReLU, and its gradient; pixels,
// counts, one-hot codes): the terms of zeros are left out. The results have the bits of the dense products
// (kernels/gemm.h): an element is one chain of fused multiply-adds in the order of k, which the term of a zero leaves as
// it is. So each call may decide anew, by a look at a few rows, and it does: it returns false, and has done nothing, if
// the dense product takes less time.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "core/types.h"

namespace fastnn::kernels {

// Can leaving out zeros save time at all, if the result has so many rows and columns, and each element so many terms?
// In narrower rows there are too few products for each bit that is looked at, and few of them are fast as they are.
inline constexpr int kLeastLinesToSkip = 3;
template <class T>
constexpr bool may_skip_zeros(Index rows, Index columns, Index terms) {
  return terms >= 16 && columns >= kPad<T> * (rows > 2 ? kLeastLinesToSkip : 8);
}

// Are there so many zeros in a that products without them take less time? Looks at a few rows, at any address.
template <class T>
bool has_many_zeros(ConstMatrix<T> a) noexcept;

// y = x W + bias, as `product`. The rows of x may be at any address.
template <class T>
bool product_skipping_zeros(ConstMatrix<T> x, ConstMatrix<T> w, const T* bias, Matrix<T> y) noexcept;
template <class T>
bool product_skipping_zeros(ConstMatrix<T> x, PackedMatrix<T> w, const T* bias, Matrix<T> y) noexcept;
// y = x w, or y += x w with `accumulate`, as the `product` that is given x^T.
template <class T>
bool product_skipping_zeros(ConstMatrix<T> x, ConstMatrix<T> w, Matrix<T> y, bool accumulate,
                            const PrefetchTargets<T>* prefetch) noexcept;
// c = x^T y, or c += x^T y with `accumulate`, as `product_transposed`.
template <class T>
bool product_transposed_skipping_zeros(ConstMatrix<T> x, ConstMatrix<T> y, Matrix<T> c, bool accumulate,
                                       const PrefetchTargets<T>* prefetch) noexcept;

}  // namespace fastnn::kernels
