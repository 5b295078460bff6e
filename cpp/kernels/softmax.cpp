// SPDX-License-Identifier: BSD-3-Clause
#include "kernels/softmax.h"

#include <algorithm>

#include "kernels/softmax_row.h"

namespace fastnn::kernels {

namespace {

template <class T>
void softmax_short(ConstMatrix<T> z, Matrix<T> a) noexcept {
  constexpr Index kRows = ShortRows<T>::kRows;
  alignas(kAlign) T share[kRows] = {};
  const ShortRows<T> rows(z);
  for (Index r = 0; r < z.rows; ++r) share[r] = static_cast<T>(1 / rows.sum(r));
  rows.store(share, a);
}

}  // namespace

template <class T>
void softmax(ConstMatrix<T> z, Matrix<T> a) noexcept {
  constexpr Index kRows = ShortRows<T>::kRows;
  Index r = 0;
  for (; side_by_side(z.rows - r, z.cols); r += std::min(kRows, z.rows - r)) {
    const Index count = std::min(kRows, z.rows - r);
    softmax_short(z.middle_rows(r, count), a.middle_rows(r, count));
  }
  for (; r < z.rows; ++r) softmax_row(z.row(r), z.cols, a.row(r));
}
template <class T>
void log_softmax(ConstMatrix<T> z, Matrix<T> a) noexcept {
  for (Index r = 0; r < z.rows; ++r) log_softmax_row(z.row(r), z.cols, a.row(r));
}

template <class T>
void softmax_backward(ConstMatrix<T> a, Matrix<T> grad) noexcept {
  for (Index r = 0; r < a.rows; ++r) softmax_row_backward(a.row(r), a.cols, grad.row(r));
}
template <class T>
void log_softmax_backward(ConstMatrix<T> a, Matrix<T> grad) noexcept {
  for (Index r = 0; r < a.rows; ++r) log_softmax_row_backward(a.row(r), a.cols, grad.row(r));
}

template void softmax(ConstMatrix<float>, Matrix<float>) noexcept;
template void softmax(ConstMatrix<double>, Matrix<double>) noexcept;
template void log_softmax(ConstMatrix<float>, Matrix<float>) noexcept;
template void log_softmax(ConstMatrix<double>, Matrix<double>) noexcept;
template void softmax_backward(ConstMatrix<float>, Matrix<float>) noexcept;
template void softmax_backward(ConstMatrix<double>, Matrix<double>) noexcept;
template void log_softmax_backward(ConstMatrix<float>, Matrix<float>) noexcept;
template void log_softmax_backward(ConstMatrix<double>, Matrix<double>) noexcept;

}  // namespace fastnn::kernels
