// Softmax of a matrix's rows, in place; padded columns become zero.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "core/types.h"

namespace fastnn::kernels {

template <class T>
void softmax(Matrix<T> z) noexcept;
template <class T>
void log_softmax(Matrix<T> z) noexcept;

}  // namespace fastnn::kernels
