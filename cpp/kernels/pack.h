// Packs weights into the panels that products read (PackedMatrix in core/types.h), one block at a time: W^T for
// dx = dy W^T, and W itself for the forward pass where it is read often enough.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "core/types.h"

namespace fastnn::kernels {

// Packs the block w (m, n) of a matrix W, whose first element is at `row` (a multiple of kPad) and `col`, into W^T.
// Padding columns of W^T become zero.
template <class T>
void pack_transposed(ConstMatrix<T> w, PackedMatrix<T> wt, Index row = 0, Index col = 0) noexcept;

// Packs the block w (m, n) of a matrix W, whose first element is at `row` and `col` (a multiple of kPad), into a packed
// W, with its padding columns.
template <class T>
void pack(ConstMatrix<T> w, PackedMatrix<T> to, Index row = 0, Index col = 0) noexcept;

}  // namespace fastnn::kernels
