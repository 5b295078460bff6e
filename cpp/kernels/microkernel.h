// The inner loop of every product: a block of rows x vectors of accumulators that stays in registers while k runs.
// It neither packs nor allocates. Each accumulator is one chain of fused multiply-adds in the order of k, so the shape
// of the block does not affect the result. The shape is chosen from the width of a vector; no instruction set is named.
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

// Accumulators of a block: processors with 64-byte vectors have 32 vector registers, others 16. The remaining registers
// hold a row of b and the broadcast element of a.
template <class T>
inline constexpr int kAccumulators = kLineVectors<T> == 1 ? 24 : 12;

// Rows of a block that is `vectors` wide. 12 independent chains hide the latency of fma, so more rows gain nothing.
template <class T>
constexpr int block_rows(int vectors) {
  const int rows = kAccumulators<T> / vectors;
  return rows > 12 ? 12 : rows;
}

// Rows or vectors, split evenly into groups of at most `most`: no group of a few left over, which would compute slowly.
struct Groups {
  Index all, most, count = ceil_div(all, most);
  Index size(Index k) const { return all / count + (k < all % count ? 1 : 0); }
};

// The operands of one block c = start + a b. Element (i, p) of a is a[i * a_stride + p], or a[p * a_stride + i] if a is
// transposed. No operand has to be aligned to a vector.
template <class T>
struct BlockProduct {
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

// Rows of memory, each as wide as the block, to be prefetched while the block is computed: kPrefetchRows rows every
// kPrefetchInterval steps of k. A burst would overflow the queue of outstanding cache misses, and the processor would
// drop most of it.
inline constexpr Index kPrefetchInterval = 4, kPrefetchRows = 2;
template <class T>
class PrefetchList {
 public:
  // For a block of k steps; rows beyond what they can prefetch are left out.
  explicit PrefetchList(Index k) noexcept : room_(std::min(k / kPrefetchInterval * kPrefetchRows, kMost)) {}
  void add(const T* row, Index stride, Index count) noexcept {
    count = std::min(count, room_ - n_);
    for (Index i = 0; i < count; ++i) rows_[n_ + i] = row + i * stride;
    n_ += count;
  }
  void clear() noexcept { n_ = 0; }
  // Repeats the first row until the number of rows is a multiple of kPrefetchRows.
  const T* const* begin() noexcept {
    while (n_ % kPrefetchRows != 0) rows_[n_] = rows_[0], ++n_;
    return rows_;
  }
  const T* const* end() const noexcept { return rows_ + n_; }

 private:
  static constexpr Index kMost = 128;
  Index room_, n_ = 0;
  const T* rows_[kMost];
};

template <class T, int kRows, int kVectors, bool kTransposed, bool kPrefetch>
void micro_kernel(const BlockProduct<T>& given, PrefetchList<T>* prefetch) noexcept {
  constexpr Index kLanes = Vec<T>::kLanes;
  const BlockProduct<T> block = given;  // a copy: stores to c cannot change it
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
  (void)prefetch;
  Index p = 0;
  if constexpr (kPrefetch)
    for (const T* const* row = prefetch->begin(); row != prefetch->end(); p += kPrefetchInterval) {
#pragma GCC unroll 4
      for (Index q = 0; q < kPrefetchInterval; ++q) step();
#pragma GCC unroll 4
      for (Index q = 0; q < kPrefetchRows; ++q, ++row)
#pragma GCC unroll 8
        for (int j = 0; j < kVectors * kLanes; j += kPad<T>) __builtin_prefetch(*row + j);
    }
// Unrolled by four: the instructions of the loop itself compete with the products for issue slots.
#pragma GCC unroll 4
  for (; p < block.k; ++p) step();

#pragma GCC unroll 12
  for (int i = 0; i < kRows; ++i)
#pragma GCC unroll 16
    for (int j = 0; j < kVectors; ++j) sum[i][j].storeu(block.c + i * block.c_stride + j * kLanes);
}

// Columns of a full panel of a PackedMatrix: as wide as the block of accumulators for many rows, which is one cache
// line, or four with 64-byte vectors.
template <class T>
inline constexpr int kPanelLines = kLineVectors<T> == 1 ? 4 : 1;
template <class T>
inline constexpr Index kPanelCols = kPanelLines<T> * kPad<T>;

// The panel that contains column c, as a matrix, and the number of its first column. The columns after the last full
// panel are in panels of half its width, then of a quarter, and so on, as multiply_panels of gemm.cpp reads them.
template <class T>
struct PanelView {
  Index first;
  Matrix<T> view;
};
template <class T>
PanelView<T> panel_of(PackedMatrix<T> whole, Index c) noexcept {
  Index width = kPanelCols<T>;
  Index first = c / width * width;
  const Index end = padded<T>(whole.cols);
  for (; first + width > end; width /= 2)
    if (first + width / 2 <= c && first + width / 2 < end) first += width / 2;
  return {first, {whole.data + first * whole.rows, whole.rows, std::min(width, whole.cols - first), width}};
}

template <class T>
using Kernel = void (*)(const BlockProduct<T>&, PrefetchList<T>*) noexcept;

namespace detail {
template <class T, int kVectors, bool kTransposed, bool kPrefetch, int... kIndex>
constexpr std::array<Kernel<T>, sizeof...(kIndex)> kernels_by_rows(std::integer_sequence<int, kIndex...>) {
  return {micro_kernel<T, kIndex + 1, kVectors, kTransposed, kPrefetch>...};
}
}  // namespace detail

// kKernels<T, vectors, a is transposed, with prefetching>[rows - 1]
template <class T, int kVectors, bool kTransposed, bool kPrefetch>
inline constexpr auto kKernels = detail::kernels_by_rows<T, kVectors, kTransposed, kPrefetch>(
    std::make_integer_sequence<int, block_rows<T>(kVectors)>{});

}  // namespace fastnn::kernels
