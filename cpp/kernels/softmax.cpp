// SPDX-License-Identifier: BSD-3-Clause
#include "kernels/softmax.h"

#include "kernels/softmax_row.h"

namespace fastnn::kernels {

template <class T>
void softmax(Matrix<T> z) noexcept {
  for (Index r = 0; r < z.rows; ++r) softmax_row(z.row(r), z.cols);
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
