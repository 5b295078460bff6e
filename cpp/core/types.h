// The words everything else is written in: index, padding, row-major matrix views.
// Views own nothing; memory comes from core/buffer.h.
// Shape letters in comments: B batch rows, I inputs, O outputs of a layer.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <cstddef>
#include <cstdint>

namespace fastnn {

using Index = std::ptrdiff_t;

// Rows of every engine buffer start on a cache line, whatever the instruction set: loops may run over whole
// vectors up to the padded width, and no result depends on where a caller's array happened to lie.
inline constexpr std::size_t kAlign = 64;

template <class T>
inline constexpr Index kPad = static_cast<Index>(kAlign / sizeof(T));

template <class T>
constexpr Index padded(Index n) {
  return (n + kPad<T> - 1) / kPad<T> * kPad<T>;
}

// Distance of the rows of a matrix: their padded width, and a cache line more where that is a larger multiple of 256
// bytes. Rows at such distances fall into few sets of a cache and throw each other out.
template <class T>
constexpr Index row_stride(Index cols) {
  const Index lines = padded<T>(cols) / kPad<T>;
  return (lines >= 8 && lines % 4 == 0 ? lines + 1 : lines) * kPad<T>;
}

// The one of two that works on T: a registry's rows hold both.
template <class T, class Single, class Double>
constexpr const auto& of_type(const Single& f32, const Double& f64) {
  if constexpr (sizeof(T) == sizeof(float))
    return f32;
  else
    return f64;
}

constexpr Index ceil_div(Index a, Index b) { return (a + b - 1) / b; }

// A row-major view. Engine matrices have stride % kPad == 0 and an aligned first element; columns between
// `cols` and `padded(cols)` exist, may be computed on, and are zero in parameters and gradients.
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

// A matrix laid out for the products that read it as their right-hand side: some columns of every row one behind the
// other, then the next columns; the last panel is as wide as what is left. A product runs down one panel after another
// and never jumps. How many columns make a panel: kernels/microkernel.h.
template <class T>
struct Panels {
  T* data = nullptr;
  Index rows = 0, cols = 0;

  // `count` columns from c on, whole panels: multiples of 256 bytes, but for the last ones.
  Panels columns(Index c, Index count) const { return {data + c * rows, rows, count}; }
  explicit operator bool() const { return data != nullptr; }
};

// What the caller of a product reads and writes next: arrays that lie like c. The product asks for the lines that belong
// to a block of c while it computes it, for they may be as far away as memory.
template <class T>
struct Ahead {
  static constexpr int kMost = 5;
  const T* arrays[kMost] = {};
  int count = 0;
  Index stride = 0;
};

}  // namespace fastnn
