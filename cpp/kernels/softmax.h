// Softmax and log-softmax of the rows of a matrix, and their backward passes; padding columns become zero.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "core/types.h"

namespace fastnn::kernels {

// a = softmax(z) or log_softmax(z); a may be z.
template <class T>
void softmax(ConstMatrix<T> z, Matrix<T> a) noexcept;
template <class T>
void log_softmax(ConstMatrix<T> z, Matrix<T> a) noexcept;

// The gradient by z in place of that by a, from the result a: a (grad - sum(grad a)), and grad - exp(a) sum(grad).
template <class T>
void softmax_backward(ConstMatrix<T> a, Matrix<T> grad) noexcept;
template <class T>
void log_softmax_backward(ConstMatrix<T> a, Matrix<T> grad) noexcept;

}  // namespace fastnn::kernels
