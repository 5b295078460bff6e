// Transposes a matrix. torch and files have W as (O, I), the engine has it as (I, O).
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "core/types.h"

namespace fastnn::kernels {

// to = from^T, element by element; both at any address and with any row stride. Nothing but the elements is written.
template <class T>
void transpose(ConstMatrix<T> from, Matrix<T> to) noexcept;

}  // namespace fastnn::kernels
