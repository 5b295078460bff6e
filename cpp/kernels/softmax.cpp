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

template void softmax(Matrix<float>) noexcept;
template void softmax(Matrix<double>) noexcept;
template void log_softmax(Matrix<float>) noexcept;
template void log_softmax(Matrix<double>) noexcept;

}  // namespace fastnn::kernels
