// The types that the whole engine uses: indices, padding, row-major matrix views. Views own nothing; core/buffer.h
// allocates memory.
// Shape letters in comments: B batch rows, I inputs, O outputs of a layer.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <cstddef>
#include <cstdint>

namespace fastnn {

using Index = std::ptrdiff_t;

// Rows of every engine buffer start on a cache line on all instruction sets. So loops may run over whole vectors up to
// the padded width, and no result depends on the alignment of a caller's array.
inline constexpr std::size_t kAlign = 64;

template <class T>
inline constexpr Index kPad = static_cast<Index>(kAlign / sizeof(T));

template <class T>
constexpr Index padded(Index n) {
  return (n + kPad<T> - 1) / kPad<T> * kPad<T>;
}

// The stride of a matrix's rows: the padded width, plus one cache line where that is a multiple of 256 bytes and at
// least 512. Rows with such strides would map to few sets of a cache and evict each other.
template <class T>
constexpr Index row_stride(Index cols) {
  const Index lines = padded<T>(cols) / kPad<T>;
  return (lines >= 8 && lines % 4 == 0 ? lines + 1 : lines) * kPad<T>;
}

// Selects the one of the two that is for T. Registries hold both, for float and for double.
template <class T, class Single, class Double>
constexpr const auto& of_type(const Single& f32, const Double& f64) {
  if constexpr (sizeof(T) == sizeof(float))
    return f32;
  else
    return f64;
}

constexpr Index ceil_div(Index a, Index b) { return (a + b - 1) / b; }

// A row-major view. Engine matrices have stride % kPad == 0 and an aligned first element. The padding columns between
// `cols` and `padded(cols)` exist in memory and may be computed on; in parameters and gradients they are zero.
template <class T>
struct Matrix {
  T* data = nullptr;
  Index rows = 0;
  Index cols = 0;
  Index stride = 0;

  T* row(Index r) const { return data + r * stride; }
  Matrix middle_rows(Index first, Index count) const { return {row(first), count, cols, stride}; }
  Matrix block(Index r, Index c, Index n_rows, Index n_cols) const { return {row(r) + c, n_rows, n_cols, stride}; }
  explicit operator bool() const { return data != nullptr; }
  operator Matrix<const T>() const { return {data, rows, cols, stride}; }
};

template <class T>
using ConstMatrix = Matrix<const T>;

// A matrix packed for products that read it as their right-hand side. It is stored panel by panel: a panel is a group
// of neighbouring columns, stored row after row without gaps, so that a product reads memory sequentially. The last
// panels are narrower (panel_of in kernels/microkernel.h, which also defines the width of a panel).
template <class T>
struct PackedMatrix {
  T* data = nullptr;
  Index rows = 0, cols = 0;

  // The `count` columns from c on. Both have to be multiples of a panel's width (256 bytes), except at the end.
  PackedMatrix columns(Index c, Index count) const { return {data + c * rows, rows, count}; }
  explicit operator bool() const { return data != nullptr; }
};

// Prefetch targets of a product: while it computes a block of its result c, it prefetches the same block of these
// arrays, which have the layout of c. For a gradient of W they are W and the optimizer's states (Adam's m and v), which
// the update reads right after the product.
template <class T>
struct PrefetchTargets {
  static constexpr int kMost = 5;
  const T* arrays[kMost] = {};
  int count = 0;
  Index stride = 0;
};

}  // namespace fastnn
