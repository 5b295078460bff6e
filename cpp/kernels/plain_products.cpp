// The blocking, from the outside in: tiles of c (one item each), blocks of k (c is stored and reloaded in between,
// which keeps every chain exact), panels of columns, blocks of rows. The rows of b that belong to a block of k and a
// panel are first packed on the stack: aligned, without gaps between rows, padded with zeros after the last column of
// b, and transposed if b is a transpose.
// SPDX-License-Identifier: BSD-3-Clause
#include "kernels/plain_products.h"

#include <algorithm>
#include <type_traits>

#include "kernels/microkernel.h"

namespace fastnn::kernels {

namespace {

// Vectors of a full panel: as many as let a block of accumulators fill the registers.
template <class T>
inline constexpr int kFullVectors = kPanelLines<T> * kLineVectors<T>;
template <class T>
inline constexpr Index kTileCols = 4 * kPad<T>;  // one panel of 64-byte vectors, or four panels of shorter vectors
constexpr Index kDepth = 128;                    // rows of b in a block of k: 32 KB with the columns of a tile
constexpr Index kMostRows = 384, kFewestRows = 64, kWantedTiles = 8;
constexpr double kMostFlops = 4e9;    // of a tile: the caller polls for signals between tiles
constexpr Index kRowsWorthACopy = 7;  // fewer rows of c read b only once, so packing it gains nothing

// Copies the first `count` numbers at `from`, fewer than a vector, without reading behind them.
template <class T>
[[gnu::always_inline]] inline void copy_first(const T* from, Index count, T* to) noexcept {
  Index at = 0;
#pragma GCC unroll 4
  for (Index half = Vec<T>::kLanes / 2; half > 0; half /= 2)
    if (count & half) {
      for (Index i = 0; i < half; ++i) to[at + i] = from[at + i];
      at += half;
    }
}

// Packs rows [0, k) of a panel of b if the elements of a row are contiguous. The panel has `cols` columns; further
// columns up to whole vectors become zero.
template <class T, int kVectors>
void pack_rows(const T* b, Index stride, Index k, Index cols, T* to) noexcept {
  constexpr Index kLanes = Vec<T>::kLanes, kWidth = kVectors * kLanes;
  if (cols == kWidth) {
    for (Index p = 0; p < k; ++p)
#pragma GCC unroll 8
      for (int j = 0; j < kVectors; ++j) Vec<T>::loadu(b + p * stride + j * kLanes).store(to + p * kWidth + j * kLanes);
    return;
  }
  for (Index p = 0; p < k; ++p) {
    const T* const from = b + p * stride;
    T* const at = to + p * kWidth;
    Index j = 0;
    for (; j + kLanes <= cols; j += kLanes) Vec<T>::loadu(from + j).store(at + j);
    Vec<T>::zero().store(at + j);  // kVectors is the fewest that hold `cols`
    copy_first(from + j, cols - j, at + j);
  }
}

// As pack_rows, if the elements of a column are contiguous: column j of the panel begins at b + j * stride.
template <class T, int kVectors>
void pack_columns(const T* b, Index stride, Index k, Index cols, T* to) noexcept {
  constexpr Index kLanes = Vec<T>::kLanes, kWidth = kVectors * kLanes;
  Index p = 0;
  for (; p + kLanes <= k; p += kLanes)
    for (Index j = 0; j < kWidth; j += kLanes) {
      Vec<T> square[kLanes];
#pragma GCC unroll 16
      for (Index i = 0; i < kLanes; ++i)
        square[i] = j + i < cols ? Vec<T>::loadu(b + (j + i) * stride + p) : Vec<T>::zero();
      transpose_square(square);
#pragma GCC unroll 16
      for (Index i = 0; i < kLanes; ++i) square[i].store(to + (p + i) * kWidth + j);
    }
  for (; p < k; ++p)
    for (Index j = 0; j < kWidth; ++j) to[p * kWidth + j] = j < cols ? b[j * stride + p] : T(0);
}

// Multiplies all rows of a tile by one panel of b. cols: number of columns of c in the panel. If they do not fill the
// panel's vectors, the block is computed in a buffer of whole vectors and its columns are copied to c.
template <class T, int kVectors, bool kTransposed>
void panel_rows(BlockProduct<T> block, Index rows, Index cols) noexcept {
  constexpr Index kWidth = kVectors * Vec<T>::kLanes;
  constexpr Index kRows = block_rows<T>(kVectors);
  const Index count = ceil_div(rows, kRows);
  alignas(kAlign) T whole[kRows * kWidth], begin[kRows * kWidth];
  if (cols < kWidth) std::fill_n(begin, kRows * kWidth, T(0));
  for (Index r = 0; r < count; ++r) {
    const Index n = rows / count + (r < rows % count ? 1 : 0);  // split evenly, without a last block of a few rows
    const auto kernel = kKernels<T, kVectors, kTransposed, false>[static_cast<std::size_t>(n - 1)];
    if (cols == kWidth) {
      kernel(block, nullptr);
    } else {
      BlockProduct<T> own = block;
      own.c = whole;
      own.c_stride = kWidth;
      if (block.start) {  // a stride of 0 means the bias: the same row for every row of c
        for (Index i = 0; i < (block.start_stride ? n : 1); ++i)
          std::copy_n(block.start + i * block.start_stride, cols, begin + i * kWidth);
        own.start = begin;
        own.start_stride = block.start_stride ? kWidth : 0;
      }
      kernel(own, nullptr);
      for (Index i = 0; i < n; ++i) std::copy_n(whole + i * kWidth, cols, block.c + i * block.c_stride);
    }
    block.a += kTransposed ? n : n * block.a_stride;
    block.c += n * block.c_stride;
    if (block.start) block.start += n * block.start_stride;
  }
}

// Calls f with the smallest number of vectors, at most kVectors, that holds `cols` columns, as an integral_constant.
template <class T, int kVectors, class F>
void with_vectors(Index cols, const F& f) noexcept {
  if constexpr (kVectors > 1)
    if (cols <= (kVectors - 1) * Vec<T>::kLanes) return with_vectors<T, kVectors - 1>(cols, f);
  f(std::integral_constant<int, kVectors>{});
}

// Calls f(first column, columns, vectors as an integral_constant) for each panel of kVectors vectors; the last panel
// has as many vectors as its columns need.
template <class T, int kVectors, class F>
void for_panels(Index cols, const F& f) noexcept {
  constexpr Index kWidth = kVectors * Vec<T>::kLanes;
  Index first = 0;
  for (; first + kWidth <= cols; first += kWidth) f(first, kWidth, std::integral_constant<int, kVectors>{});
  if (first < cols) with_vectors<T, kVectors>(cols - first, [&](auto vectors) { f(first, cols - first, vectors); });
}

// A tile of many rows: for each block of k, the rows of b are packed, and then all rows of the tile are multiplied.
template <class T, bool kTransposed>
void copying_tile(const Plain<T>& a, const Plain<T>& b, const T* bias, const Matrix<T>& c) noexcept {
  alignas(kAlign) T copy[kDepth * kTileCols<T>];
  Index p = 0;
  do {  // at least once: without k, c is the bias
    const Index k = std::min(kDepth, b.rows - p);
    for_panels<T, kFullVectors<T>>(c.cols, [&](Index first, Index cols, auto vectors) {
      if (b.col_stride == 1)
        pack_rows<T, vectors>(b.at(p, first), b.row_stride, k, cols, copy + first * kDepth);
      else
        pack_columns<T, vectors>(b.at(p, first), b.col_stride, k, cols, copy + first * kDepth);
    });
    for_panels<T, kFullVectors<T>>(c.cols, [&](Index first, Index cols, auto vectors) {
      BlockProduct<T> block{a.at(0, p),
                            kTransposed ? a.col_stride : a.row_stride,
                            copy + first * kDepth,
                            vectors * Vec<T>::kLanes,
                            k,
                            bias ? bias + first : nullptr,
                            0,
                            c.data + first,
                            c.stride};
      if (p > 0) {
        block.start = block.c;
        block.start_stride = c.stride;
      }
      panel_rows<T, vectors, kTransposed>(block, c.rows, cols);
    });
    p += k;
  } while (p < b.rows);
}

// A tile of few rows: reads b directly, except for the last columns that do not fill a vector.
template <class T, int kVectors>
void reading_tile(const Plain<T>& a, const Plain<T>& b, const T* bias, const Matrix<T>& c) noexcept {
  constexpr Index kWidth = kVectors * Vec<T>::kLanes;
  Index first = 0;
  for (; first + kWidth <= c.cols; first += kWidth)
    panel_rows<T, kVectors, false>({a.data, a.row_stride, b.at(0, first), b.row_stride, b.rows,
                                    bias ? bias + first : nullptr, 0, c.data + first, c.stride},
                                   c.rows, kWidth);
  if (first == c.cols) return;
  copying_tile<T, false>(a, b.middle_cols(first, c.cols - first), bias ? bias + first : nullptr,
                         c.block(0, first, c.rows, c.cols - first));
}

template <class T>
void tile(const Plain<T>& a, const Plain<T>& b, const T* bias, const Matrix<T>& c) noexcept {
  constexpr int kWide = kLineVectors<T> == 1 ? 4 : 8;  // all columns of a tile, or as many as the registers hold
  if (a.col_stride != 1) return copying_tile<T, true>(a, b, bias, c);
  if (c.rows >= kRowsWorthACopy || b.col_stride != 1) return copying_tile<T, false>(a, b, bias, c);
  if (c.rows <= block_rows<T>(kWide)) return reading_tile<T, kWide>(a, b, bias, c);
  reading_tile<T, kFullVectors<T>>(a, b, bias, c);
}

}  // namespace

template <class T>
Tiling<T>::Tiling(Index m, Index k, Index n) noexcept {
  if (m <= 0 || n <= 0) return;
  cols = kTileCols<T>;
  col_groups = ceil_div(n, cols);
  const double row_flops = 2.0 * static_cast<double>(k) * static_cast<double>(cols);
  const double allowed = std::max(kMostFlops / std::max(row_flops, 1.0), static_cast<double>(kFewestRows));
  const Index most = static_cast<Index>(std::min(allowed, static_cast<double>(kMostRows)));
  const Index wanted = std::min(ceil_div(kWantedTiles, col_groups), m / kFewestRows);
  rows = ceil_div(m, std::max({ceil_div(m, most), wanted, Index{1}}));
  row_groups = ceil_div(m, rows);
}

template <class T>
void plain_product(Plain<T> a, Plain<T> b, const T* bias, Matrix<T> c, const Tiling<T>& tiling, Index item) noexcept {
  const Index r = item % tiling.row_groups * tiling.rows, first = item / tiling.row_groups * tiling.cols;
  const Index rows = std::min(tiling.rows, c.rows - r), cols = std::min(tiling.cols, c.cols - first);
  const Plain<T> of_a = a.middle_rows(r, rows), of_b = b.middle_cols(first, cols);
  const Matrix<T> of_c = c.block(r, first, rows, cols);
  tile<T>(of_a, of_b, bias ? bias + first : nullptr, of_c);
}

template <class T>
void plain_column_sums(Plain<T> y, T* sums) noexcept {
  constexpr Index kLanes = Vec<T>::kLanes, kAtOnce = 4;
  Index c = 0;
  if (y.col_stride == 1)
    for (; c + kAtOnce * kLanes <= y.cols; c += kAtOnce * kLanes) {
      Vec<T> sum[kAtOnce];
      for (auto& each : sum) each = Vec<T>::zero();
      for (Index r = 0; r < y.rows; ++r)
        for (Index j = 0; j < kAtOnce; ++j) sum[j] += Vec<T>::loadu(y.at(r, c) + j * kLanes);
      for (Index j = 0; j < kAtOnce; ++j) sum[j].storeu(sums + c + j * kLanes);
    }
  for (; c < y.cols; c += kAtOnce) {  // single columns, a few chains at a time to hide the latency
    const Index count = std::min(kAtOnce, y.cols - c);
    T sum[kAtOnce] = {};
    for (Index r = 0; r < y.rows; ++r)
      for (Index j = 0; j < kAtOnce; ++j) sum[j] += *y.at(r, c + std::min(j, count - 1));
    std::copy_n(sum, count, sums + c);
  }
}

#define FASTNN_INSTANTIATE(T)                                                                                \
  template struct Tiling<T>;                                                                                 \
  template void plain_product<T>(Plain<T>, Plain<T>, const T*, Matrix<T>, const Tiling<T>&, Index) noexcept; \
  template void plain_column_sums<T>(Plain<T>, T*) noexcept;
FASTNN_INSTANTIATE(float)
FASTNN_INSTANTIATE(double)
#undef FASTNN_INSTANTIATE

}  // namespace fastnn::kernels
