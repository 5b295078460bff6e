// The inner loop of every product: a block of rows x vectors of accumulators that stays in registers while k runs.
// It neither packs nor allocates. Each accumulator is one fma chain in k order, so the shape of the block never shows
// in a result; it is chosen from the vector's width alone (no instruction set is named).
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <algorithm>
#include <array>
#include <utility>

#include "core/simd.h"
#include "core/types.h"

namespace fastnn::kernels {

// Vectors in one cache line: columns are handled in whole lines.
template <class T>
inline constexpr int kLineVectors = static_cast<int>(kPad<T> / Vec<T>::kLanes);

// Accumulators held at once: 64-byte vectors come with 32 registers, shorter ones with 16; the rest holds a row of b
// and the broadcast element of a.
template <class T>
inline constexpr int kAccumulators = kLineVectors<T> == 1 ? 24 : 12;

// Rows of a block that is `vectors` wide. More than 12 rows gain nothing: 12 chains hide the latency.
template <class T>
constexpr int block_rows(int vectors) {
  const int rows = kAccumulators<T> / vectors;
  return rows > 12 ? 12 : rows;
}

// c = start + a b for one block, none of them aligned to more than its numbers. a is read as a[i * a_stride + p], or as a[p * a_stride + i] when it is transposed.
template <class T>
struct Block {
  const T* a;
  Index a_stride;
  const T* b;
  Index b_stride;
  Index k;
  const T* start;  // first values of the accumulators: the bias, c itself (a later block of k), or nullptr for zero
  Index start_stride;
  T* c;
  Index c_stride;
};

// Rows of memory, as wide as a block, that are needed after it. Its loop asks for them on the way, a few a turn of some
// steps of k: asked for all at once, most would be dropped.
inline constexpr Index kTurn = 4, kRowsATurn = 2;
template <class T>
class Wishes {
 public:
  // Turns of a block of k steps; what they have no room for is left out.
  explicit Wishes(Index k) noexcept : room_(std::min(k / kTurn * kRowsATurn, kMost)) {}
  void add(const T* row, Index stride, Index count) noexcept {
    count = std::min(count, room_ - n_);
    for (Index i = 0; i < count; ++i) rows_[n_ + i] = row + i * stride;
    n_ += count;
  }
  void clear() noexcept { n_ = 0; }
  // A whole number of turns.
  const T* const* begin() noexcept {
    while (n_ % kRowsATurn != 0) rows_[n_] = rows_[0], ++n_;
    return rows_;
  }
  const T* const* end() const noexcept { return rows_ + n_; }

 private:
  static constexpr Index kMost = 128;
  Index room_, n_ = 0;
  const T* rows_[kMost];
};

template <class T, int kRows, int kVectors, bool kTransposed, bool kAsks>
void micro_kernel(const Block<T>& given, Wishes<T>* wishes) noexcept {
  constexpr Index kLanes = Vec<T>::kLanes;
  const Block<T> block = given;  // a copy: stores to c cannot change it
  Vec<T> sum[kRows][kVectors];
#pragma GCC unroll 12
  for (int i = 0; i < kRows; ++i)
#pragma GCC unroll 16
    for (int j = 0; j < kVectors; ++j)
      sum[i][j] = block.start ? Vec<T>::loadu(block.start + i * block.start_stride + j * kLanes) : Vec<T>::zero();

  const T* a = block.a;
  const T* b = block.b;
  const Index a_stride = block.a_stride;
  const Index a_step = kTransposed ? a_stride : 1;
  const auto step = [&]() __attribute__((always_inline)) {
    Vec<T> row[kVectors];
#pragma GCC unroll 16
    for (int j = 0; j < kVectors; ++j) row[j] = Vec<T>::loadu(b + j * kLanes);
#pragma GCC unroll 12
    for (int i = 0; i < kRows; ++i) {
      const auto factor = Vec<T>::set(kTransposed ? a[i] : a[i * a_stride]);
#pragma GCC unroll 16
      for (int j = 0; j < kVectors; ++j) sum[i][j] = fma(factor, row[j], sum[i][j]);
    }
    a += a_step;
    b += block.b_stride;
  };
  (void)wishes;
  Index p = 0;
  if constexpr (kAsks)
    for (const T* const* wanted = wishes->begin(); wanted != wishes->end(); p += kTurn) {
#pragma GCC unroll 4
      for (Index q = 0; q < kTurn; ++q) step();
#pragma GCC unroll 4
      for (Index q = 0; q < kRowsATurn; ++q, ++wanted)
#pragma GCC unroll 8
        for (int j = 0; j < kVectors * kLanes; j += kPad<T>) __builtin_prefetch(*wanted + j);
    }
// Four steps a turn: the loop's own instructions compete with the products for the front of the pipeline.
#pragma GCC unroll 4
  for (; p < block.k; ++p) step();

#pragma GCC unroll 12
  for (int i = 0; i < kRows; ++i)
#pragma GCC unroll 16
    for (int j = 0; j < kVectors; ++j) sum[i][j].storeu(block.c + i * block.c_stride + j * kLanes);
}

// Columns of a panel of Panels: a block of accumulators that many rows take, a line, or four with 64-byte vectors.
template <class T>
inline constexpr int kPanelLines = kLineVectors<T> == 1 ? 4 : 1;
template <class T>
inline constexpr Index kPanelCols = kPanelLines<T> * kPad<T>;

// The panel that holds column c. What is left behind the last full one makes panels of half the lines, and so on: those
// that a product takes.
template <class T>
struct Panel {
  Index first;
  Matrix<T> view;
};
template <class T>
Panel<T> panel_of(Panels<T> whole, Index c) noexcept {
  Index width = kPanelCols<T>;
  Index first = c / width * width;
  const Index end = padded<T>(whole.cols);
  for (; first + width > end; width /= 2)
    if (first + width / 2 <= c && first + width / 2 < end) first += width / 2;
  return {first, {whole.data + first * whole.rows, whole.rows, std::min(width, whole.cols - first), width}};
}

template <class T>
using Kernel = void (*)(const Block<T>&, Wishes<T>*) noexcept;

namespace detail {
template <class T, int kVectors, bool kTransposed, bool kAsks, int... kIndex>
constexpr std::array<Kernel<T>, sizeof...(kIndex)> kernels_by_rows(std::integer_sequence<int, kIndex...>) {
  return {micro_kernel<T, kIndex + 1, kVectors, kTransposed, kAsks>...};
}
}  // namespace detail

// kKernels<T, vectors, transposed, asks>[rows - 1]
template <class T, int kVectors, bool kTransposed, bool kAsks>
inline constexpr auto kKernels = detail::kernels_by_rows<T, kVectors, kTransposed, kAsks>(
    std::make_integer_sequence<int, block_rows<T>(kVectors)>{});

}  // namespace fastnn::kernels
