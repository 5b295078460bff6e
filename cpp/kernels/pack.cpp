// SPDX-License-Identifier: BSD-3-Clause
#include "kernels/pack.h"

#include "kernels/microkernel.h"

namespace fastnn::kernels {

// Works on strips of kPad rows of w, which become one cache line of each row of a panel. A strip is transposed square
// by square in registers; rows beyond those of w count as zero.
template <class T>
void pack_transposed(ConstMatrix<T> w, PackedMatrix<T> wt, Index row, Index col) noexcept {
  constexpr Index kLanes = Vec<T>::kLanes;
  for (Index r0 = 0; r0 < w.rows; r0 += kPad<T>) {
    const auto [first, panel] = panel_of(wt, row + r0);
    T* const to = panel.row(col) + row + r0 - first;
    for (Index c0 = 0; c0 < w.cols; c0 += kLanes)
      for (Index r = 0; r < kPad<T>; r += kLanes) {
        Vec<T> square[kLanes];
#pragma GCC unroll 16
        for (Index i = 0; i < kLanes; ++i)
          square[i] = r0 + r + i < w.rows ? Vec<T>::load(w.row(r0 + r + i) + c0) : Vec<T>::zero();
        transpose_square(square);
        T* const at = to + c0 * panel.stride + r;
        if (c0 + kLanes <= w.cols) {
#pragma GCC unroll 16
          for (Index i = 0; i < kLanes; ++i) square[i].store(at + i * panel.stride);
        } else {
          for (Index i = 0; i < w.cols - c0; ++i) square[i].store(at + i * panel.stride);
        }
      }
  }
}

template <class T>
void pack(ConstMatrix<T> w, PackedMatrix<T> to, Index row, Index col) noexcept {
  for (Index c0 = 0; c0 < w.cols; c0 += kPad<T>) {
    const auto [first, panel] = panel_of(to, col + c0);
    T* const at = panel.row(row) + col + c0 - first;
    for (Index r = 0; r < w.rows; ++r)
      for (Index j = 0; j < kPad<T>; j += Vec<T>::kLanes)
        Vec<T>::load(w.row(r) + c0 + j).store(at + r * panel.stride + j);
  }
}

#define FASTNN_INSTANTIATE(T)                                                               \
  template void pack_transposed<T>(ConstMatrix<T>, PackedMatrix<T>, Index, Index) noexcept; \
  template void pack<T>(ConstMatrix<T>, PackedMatrix<T>, Index, Index) noexcept;
FASTNN_INSTANTIATE(float)
FASTNN_INSTANTIATE(double)
#undef FASTNN_INSTANTIATE

}  // namespace fastnn::kernels
