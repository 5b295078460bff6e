// Weights into the panels that products read (core/types.h), block by block: W^T for dx = dy W^T, and W itself where it
// is read often enough.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "core/types.h"

namespace fastnn::kernels {

// Block w (m, n) of a matrix W, at `row` (a multiple of kPad) and `col`, into W^T; padded columns become zero.
template <class T>
void transpose(ConstMatrix<T> w, Panels<T> wt, Index row = 0, Index col = 0) noexcept;

// Block w (m, n) of a matrix W, at `row` and `col` (a multiple of kPad), into W in panels, padded columns included.
template <class T>
void pack(ConstMatrix<T> w, Panels<T> to, Index row = 0, Index col = 0) noexcept;

}  // namespace fastnn::kernels
