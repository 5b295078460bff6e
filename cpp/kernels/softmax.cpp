// SPDX-License-Identifier: BSD-3-Clause
#include "kernels/softmax.h"

#include <algorithm>

#include "kernels/softmax_row.h"

namespace fastnn::kernels {

namespace {

template <class T>
void softmax_short(Matrix<T> z) noexcept {
  constexpr Index kRows = ShortRows<T>::kRows;
  alignas(kAlign) T share[kRows] = {};
  const ShortRows<T> rows(z);
  for (Index r = 0; r < z.rows; ++r) share[r] = static_cast<T>(1 / rows.sum(r));
  rows.store(share, z);
}

}  // namespace

template <class T>
void softmax(Matrix<T> z) noexcept {
  constexpr Index kRows = ShortRows<T>::kRows;
  Index r = 0;
  for (; side_by_side(z.rows - r, z.cols); r += std::min(kRows, z.rows - r))
    softmax_short(z.middle_rows(r, std::min(kRows, z.rows - r)));
  for (; r < z.rows; ++r) softmax_row(z.row(r), z.cols);
}
template <class T>
void log_softmax(Matrix<T> z) noexcept {
  for (Index r = 0; r < z.rows; ++r) log_softmax_row(z.row(r), z.cols);
}

template <class T>
void softmax_rows(ConstMatrix<T> x, Matrix<T> out, bool log, Matrix<T> scratch) noexcept {
  alignas(kAlign) T local[kLongRow<T>];
  const Index width = padded<T>(x.cols);
  if (width <= 0) return;
  const Index at_once = width <= kLongRow<T> ? kLongRow<T> / width : x.rows;
  for (Index first = 0; first < x.rows; first += at_once) {
    const Index rows = std::min(at_once, x.rows - first);
    const Matrix<T> z = width <= kLongRow<T> ? Matrix<T>{local, rows, x.cols, width} : scratch;
    for (Index r = 0; r < rows; ++r) {
      std::copy_n(x.row(first + r), x.cols, z.row(r));
      std::fill(z.row(r) + x.cols, z.row(r) + width, T(0));
    }
    log ? log_softmax(z) : softmax(z);
    for (Index r = 0; r < rows; ++r) std::copy_n(z.row(r), x.cols, out.row(first + r));
  }
}

template void softmax_rows(ConstMatrix<float>, Matrix<float>, bool, Matrix<float>) noexcept;
template void softmax_rows(ConstMatrix<double>, Matrix<double>, bool, Matrix<double>) noexcept;
template void softmax(Matrix<float>) noexcept;
template void softmax(Matrix<double>) noexcept;
template void log_softmax(Matrix<float>) noexcept;
template void log_softmax(Matrix<double>) noexcept;

}  // namespace fastnn::kernels
