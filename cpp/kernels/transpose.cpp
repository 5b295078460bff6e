// SPDX-License-Identifier: BSD-3-Clause
#include "kernels/transpose.h"

#include <algorithm>

#include "core/simd.h"

namespace fastnn::kernels {

// Rows of `to` that are written at a time: their pages stay in the TLB, and with short vectors their lines in L1 until
// they are full.
constexpr Index kRowsAtATime = 256;

// Square by square in registers; what is left at the edges, one element at a time.
template <class T>
void transpose(ConstMatrix<T> from, Matrix<T> to) noexcept {
  constexpr Index kLanes = Vec<T>::kLanes;
  for (Index c0 = 0; c0 < from.cols; c0 += kRowsAtATime) {
    const Index end = std::min(from.cols, c0 + kRowsAtATime);
    for (Index r0 = 0; r0 < from.rows; r0 += kLanes) {
      Index c = c0;
      for (; r0 + kLanes <= from.rows && c + kLanes <= end; c += kLanes) {
        Vec<T> square[kLanes];
#pragma GCC unroll 16
        for (Index i = 0; i < kLanes; ++i) square[i] = Vec<T>::loadu(from.row(r0 + i) + c);
        transpose_square(square);
#pragma GCC unroll 16
        for (Index i = 0; i < kLanes; ++i) square[i].storeu(to.row(c + i) + r0);
      }
      for (; c < end; ++c)
        for (Index r = r0; r < std::min(from.rows, r0 + kLanes); ++r) to.row(c)[r] = from.row(r)[c];
    }
  }
}

template void transpose<float>(ConstMatrix<float>, Matrix<float>) noexcept;
template void transpose<double>(ConstMatrix<double>, Matrix<double>) noexcept;

}  // namespace fastnn::kernels
