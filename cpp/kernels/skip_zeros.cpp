// SPDX-License-Identifier: BSD-3-Clause
#include "kernels/skip_zeros.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <utility>

#include "kernels/microkernel.h"

namespace fastnn::kernels {

namespace {

constexpr Index kWordBits = 64;
// Vectors of a row of the result that are computed at once.
template <class T>
inline constexpr int kMostVectors = kLineVectors<T> == 1 ? 7 : 4;
// Rows that are computed at once, if they are so many vectors wide: few, because an element is skipped only if it is zero
// in all of them, but enough independent chains to hide the latency of fma, and in 64-byte vectors more products than
// loads. The registers hold them beside a row of b.
constexpr int kMostAtOnce = 8;
template <class T>
constexpr int rows_at_once(Index vectors) {
  if (kLineVectors<T> == 1) return vectors >= 5 ? 3 : vectors >= 3 ? 6 : kMostAtOnce;
  return vectors >= 4 ? 2 : vectors == 3 ? 3 : vectors == 2 ? 4 : kMostAtOnce;
}

// Some rows of c = start + a b that skip the same elements. Element (i, p) of a is a[i][p * a_step].
template <class T>
struct SkippingBlock {
  const T* a[kMostAtOnce];
  Index a_step;
  const T* b;
  Index b_stride;
  const std::uint64_t* words;  // of bits: where some of the rows of a have an element other than zero
  Index n_words;
  const T* start[kMostAtOnce];  // first values of the accumulators, or nullptr for zero
  T* c[kMostAtOnce];
  // Lines of memory that are read soon: kAtATime of them are prefetched with each element of a, because the processor
  // would drop most of a burst. Their number is a multiple of kAtATime.
  const T* const* soon = nullptr;
  Index n_soon = 0;
  static constexpr Index kAtATime = 3;
};

template <class T, int kRows, int kVectors>
void skipping_kernel(const SkippingBlock<T>& block) noexcept {
  constexpr Index kLanes = Vec<T>::kLanes;
  Vec<T> sum[kRows][kVectors];
  const T* a[kRows];
#pragma GCC unroll 8
  for (int i = 0; i < kRows; ++i) {
    a[i] = block.a[i];
#pragma GCC unroll 8
    for (int j = 0; j < kVectors; ++j)
      sum[i][j] = block.start[i] ? Vec<T>::load(block.start[i] + j * kLanes) : Vec<T>::zero();
  }
  const T* b = block.b;
  const Index a_step = block.a_step, b_stride = block.b_stride;
  const T* const* soon = block.soon;
  const T* const* const last = soon + block.n_soon;
  const auto prefetch = [&] {
    for (int i = 0; i < SkippingBlock<T>::kAtATime; ++i) __builtin_prefetch(soon[i]);
    soon += SkippingBlock<T>::kAtATime;
  };
  for (Index word = 0; word < block.n_words; ++word)
    for (std::uint64_t left = block.words[word]; left != 0; left &= left - 1) {
      const Index p = word * kWordBits + std::countr_zero(left);
      Vec<T> row[kVectors];
#pragma GCC unroll 8
      for (int j = 0; j < kVectors; ++j) row[j] = Vec<T>::load(b + p * b_stride + j * kLanes);
#pragma GCC unroll 8
      for (int i = 0; i < kRows; ++i) {
        const auto factor = Vec<T>::set(a[i][p * a_step]);
#pragma GCC unroll 8
        for (int j = 0; j < kVectors; ++j) sum[i][j] = fma(factor, row[j], sum[i][j]);
      }
      if (soon != last) prefetch();
    }
  while (soon != last) prefetch();
#pragma GCC unroll 8
  for (int i = 0; i < kRows; ++i)
#pragma GCC unroll 8
    for (int j = 0; j < kVectors; ++j) sum[i][j].store(block.c[i] + j * kLanes);
}

template <class T>
using SkippingKernel = void (*)(const SkippingBlock<T>&) noexcept;
template <class T>
using KernelsByRows = std::array<SkippingKernel<T>, kMostAtOnce>;  // nullptr behind rows_at_once

template <class T, int kVectors, int... kIndex>
constexpr KernelsByRows<T> kernels_by_rows(std::integer_sequence<int, kIndex...>) {
  return {skipping_kernel<T, kIndex + 1, kVectors>...};
}
template <class T, int... kIndex>
constexpr std::array<KernelsByRows<T>, sizeof...(kIndex)> kernels_by_size(std::integer_sequence<int, kIndex...>) {
  return {kernels_by_rows<T, kIndex + 1>(std::make_integer_sequence<int, rows_at_once<T>(kIndex + 1)>{})...};
}
// kSkippingKernels<T>[vectors - 1][rows - 1]
template <class T>
inline constexpr auto kSkippingKernels = kernels_by_size<T>(std::make_integer_sequence<int, kMostVectors<T>>{});
template <class T>
SkippingKernel<T> kernel_of(Index rows, Index vectors) noexcept {
  return kSkippingKernels<T>[static_cast<std::size_t>(vectors - 1)][static_cast<std::size_t>(rows - 1)];
}

// The union of where some rows of x have numbers other than zero in columns [first, first + 64), as bits.
template <class T>
std::uint64_t nonzero_columns(ConstMatrix<T> x, Index first, Index end) noexcept {
  std::uint64_t word = 0;
  for (Index c = first; c < end; c += Vec<T>::kLanes) {
    auto all = Vec<T>::load(x.row(0) + c);
    for (Index r = 1; r < x.rows; ++r) all = all | Vec<T>::load(x.row(r) + c);
    word |= nonzero_lanes(all) << (c - first);
  }
  return word;
}

// The columns of y that one panel of W gives. panel: columns of W and of y from `first` on.
template <class T>
struct PanelOfW {
  const T* data;
  Index stride, first, vectors;
};

// y = x W + bias. panels(use) calls use(panel) for the panels of W; `widest`: the most vectors in one. Each panel is read
// for many rows before the next one, so that it stays in L1.
template <class T, class Panels>
void skipping_rows(ConstMatrix<T> x, Panels panels, Index widest, const T* bias, Matrix<T> y) noexcept {
  constexpr Index kMostGroups = 32, kMostWords = 16;  // of which the bits are at once on the stack
  std::uint64_t words[kMostGroups][kMostWords];
  const Index columns = padded<T>(x.cols), most = rows_at_once<T>(widest);
  for (Index row = 0; row < x.rows; row += kMostGroups * most) {
    const Groups groups{std::min(kMostGroups * most, x.rows - row), most};
    Index p = 0;
    do {  // at least once: without columns of x, y is the bias
      const Index end = std::min(p + kMostWords * kWordBits, columns);
      for (Index k = 0, r = row; k < groups.count; r += groups.size(k), ++k)
        for (Index c = p, word = 0; c < end; c += kWordBits, ++word)
          words[k][word] = nonzero_columns<T>(x.middle_rows(r, groups.size(k)), c, std::min(c + kWordBits, end));
      panels([&](const PanelOfW<T>& w) {
        SkippingBlock<T> block;
        block.a_step = 1, block.b = w.data + p * w.stride, block.b_stride = w.stride;
        block.n_words = ceil_div(end - p, kWordBits);
        const auto larger = kernel_of<T>(groups.size(0), w.vectors);
        const auto smaller = kernel_of<T>(groups.size(groups.count - 1), w.vectors);
        for (Index k = 0, r = row; k < groups.count; r += groups.size(k), ++k) {
          block.words = words[k];
          for (Index i = 0; i < groups.size(k); ++i) {
            block.a[i] = x.row(r + i) + p;
            block.c[i] = y.row(r + i) + w.first;
            block.start[i] = p > 0 ? block.c[i] : bias ? bias + w.first : nullptr;
          }
          (k < groups.all % groups.count ? larger : smaller)(block);
        }
      });
      p = end;
    } while (p < columns);
  }
}

// The most rows of x^T whose bits are at once on the stack, and the most of its columns, in words.
constexpr Index kColumnsAtOnce = 192, kWordsAtOnce = 4;

// Where columns of some rows of a batch have numbers other than zero: bits by row, in words of 64 rows.
struct ColumnWords {
  std::uint64_t bits[kWordsAtOnce][kColumnsAtOnce];
};

// Reads the words of rows [row, row + rows) and columns [column, column + columns).
template <class T>
void read_words(const Nonzeros<T>& from, Index row, Index rows, Index column, Index columns, ColumnWords& to) noexcept {
  constexpr Index kRows = Nonzeros<T>::kRowsOfWord;
  for (Index q = 0; q < ceil_div(rows, kWordBits); ++q) std::fill_n(to.bits[q], columns, 0);
  for (Index chunk = row / from.chunk_rows; chunk * from.chunk_rows < row + rows; ++chunk)
    for (Index w = 0; w * kRows < from.chunk_rows; ++w) {
      // Bit 0 of the word is row `first` of the rows; some of its bits may be of rows before or after them.
      const Index first = chunk * from.chunk_rows + w * kRows - row, before = std::max<Index>(0, -first);
      const Index at = std::max<Index>(0, first), left = rows - at;
      if (before >= kRows || left <= 0) continue;
      const std::uint64_t inside = left < kWordBits ? (std::uint64_t{1} << left) - 1 : ~std::uint64_t{0};
      const auto* words = from.of(chunk, w) + column;
      const Index q = at / kWordBits, shift = at % kWordBits;
      std::uint64_t* low = to.bits[q];
      for (Index c = 0; c < columns; ++c) low[c] |= ((std::uint64_t{words[c]} >> before) & inside) << shift;
      if (shift == 0 || (q + 1) * kWordBits >= rows) continue;
      std::uint64_t* high = to.bits[q + 1];
      for (Index c = 0; c < columns; ++c)
        high[c] |= ((std::uint64_t{words[c]} >> before) & inside) >> (kWordBits - shift);
    }
}

// Rows of c for neighbouring columns of x, which are more alike than others in many data, in groups that skip the same
// rows of y. x: its first row and column.
template <class T>
void skipping_columns(const ColumnWords& words, ConstMatrix<T> x, ConstMatrix<T> y, Matrix<T> c, bool accumulate,
                      const PrefetchTargets<T>* prefetch, Index prefetch_at) noexcept {
  constexpr Index kLanes = Vec<T>::kLanes, kMostSoon = 126;
  const Index n_words = ceil_div(y.rows, kWordBits);
  const Groups panels{padded<T>(c.cols) / kLanes, kMostVectors<T>};
  const Groups groups{c.rows, rows_at_once<T>(panels.size(0))};
  for (Index k = 0, at = 0; k < groups.count; at += groups.size(k), ++k) {
    std::uint64_t bits[kWordsAtOnce] = {};
    SkippingBlock<T> block;
    block.a_step = x.stride, block.b_stride = y.stride, block.words = bits, block.n_words = n_words;
    const Index size = groups.size(k);
    const T* soon[kMostSoon + SkippingBlock<T>::kAtATime];
    Index n_soon = 0;
    for (Index i = 0; i < size; ++i) {
      const Index column = at + i;
      block.a[i] = x.data + column;
      for (Index q = 0; q < n_words; ++q) bits[q] |= words.bits[q][column];
      for (int a = 0; prefetch && a < prefetch->count; ++a)
        for (Index j = 0; j < c.cols && n_soon < kMostSoon; j += kPad<T>)
          soon[n_soon++] = prefetch->arrays[a] + prefetch_at + column * prefetch->stride + j;
    }
    while (n_soon % SkippingBlock<T>::kAtATime != 0) soon[n_soon] = soon[n_soon - 1], ++n_soon;
    block.soon = soon, block.n_soon = n_soon;
    for (Index panel = 0, first = 0; panel < panels.count; first += panels.size(panel) * kLanes, ++panel) {
      block.b = y.data + first;
      for (Index i = 0; i < size; ++i) {
        block.c[i] = c.row(at + i) + first;
        block.start[i] = accumulate ? block.c[i] : nullptr;
      }
      kernel_of<T>(size, panels.size(panel))(block);
      block.n_soon = 0;
    }
  }
}

}  // namespace

// Looks at the rows by threes, as products of many columns do. The shares were measured (python -m bench.zeros).
template <class T>
Skip worth_skipping(ConstMatrix<T> x, Index columns) noexcept {
  constexpr Index kRows = 3;
  constexpr Index kLeastBytes = 256;        // narrower products have too few chains for each bit that is looked at
  constexpr Index kNearBytes = 256 * 1024;  // a larger W is read more often than by the dense product, and not from L1
  constexpr double kMostEverywhere = 0.5, kMostForward = 0.75;
  const Index bytes = columns * static_cast<Index>(sizeof(T));
  if (bytes < kLeastBytes) return Skip::kNowhere;
  Index looked_at = 0, nonzero = 0;
  for (Index r = 0; r + kRows <= x.rows; r += kRows)
    for (Index c = 0; c < x.cols; c += kWordBits) {
      const Index end = std::min(c + kWordBits, padded<T>(x.cols));
      nonzero += std::popcount(nonzero_columns<T>(x.middle_rows(r, kRows), c, end));
      looked_at += std::min(kWordBits, x.cols - c);
    }
  const double share = looked_at > 0 ? static_cast<double>(nonzero) / static_cast<double>(looked_at) : 1;
  if (share <= kMostEverywhere) return Skip::kEverywhere;
  return share <= kMostForward && x.cols * bytes <= kNearBytes ? Skip::kForward : Skip::kNowhere;
}

template <class T>
void note_nonzeros(ConstMatrix<T> x, Index chunk, const Nonzeros<T>& to) noexcept {
  using Bits = typename Vec<T>::Bits;
  constexpr Index kRows = Nonzeros<T>::kRowsOfWord;
  for (Index w = 0; w * kRows < to.chunk_rows; ++w) {
    const Index end = std::min(x.rows, (w + 1) * kRows);
    for (Index c = 0; c < padded<T>(x.cols); c += Vec<T>::kLanes) {
      Bits noted{}, bit = Bits{} + 1;
      for (Index r = w * kRows; r < end; ++r, bit += bit)
        noted |= (Vec<T>::load(x.row(r) + c).bits() << 1) != 0 ? bit : Bits{};
      std::memcpy(to.of(chunk, w) + c, &noted, sizeof(noted));
    }
  }
}

template <class T>
void product_skipping_zeros(ConstMatrix<T> x, ConstMatrix<T> w, const T* bias, Matrix<T> y) noexcept {
  constexpr Index kLanes = Vec<T>::kLanes;
  const Groups panels{padded<T>(y.cols) / kLanes, kMostVectors<T>};
  const auto each = [&](auto use) {
    for (Index panel = 0, first = 0; panel < panels.count; first += panels.size(panel) * kLanes, ++panel)
      use(PanelOfW<T>{w.data + first, w.stride, first, panels.size(panel)});
  };
  skipping_rows<T>(x, each, panels.size(0), bias, y);
}

template <class T>
void product_skipping_zeros(ConstMatrix<T> x, PackedMatrix<T> w, const T* bias, Matrix<T> y) noexcept {
  const auto each = [&](auto use) {
    for (Index first = 0; first < y.cols;) {
      const auto panel = panel_of<T>(w, first);
      use(PanelOfW<T>{panel.view.data, panel.view.stride, first, panel.view.stride / Vec<T>::kLanes});
      first += panel.view.stride;
    }
  };
  skipping_rows<T>(x, each, kPanelLines<T> * kLineVectors<T>, bias, y);
}

template <class T>
void product_transposed_skipping_zeros(const Nonzeros<T>& nonzeros, ConstMatrix<T> x, Index row, Index column,
                                       ConstMatrix<T> y, Matrix<T> c, bool accumulate,
                                       const PrefetchTargets<T>* prefetch) noexcept {
  constexpr Index kRows = kWordsAtOnce * kWordBits;
  ColumnWords words;
  for (Index k = 0; k < c.rows; k += kColumnsAtOnce) {
    const Index columns = std::min(kColumnsAtOnce, c.rows - k);
    for (Index r = 0; r < y.rows; r += kRows) {
      const Index rows = std::min(kRows, y.rows - r);
      read_words<T>(nonzeros, row + r, rows, column + k, columns, words);
      skipping_columns<T>(words, x.block(row + r, column + k, rows, columns), y.middle_rows(r, rows),
                          c.middle_rows(k, columns), accumulate || r > 0, r == 0 ? prefetch : nullptr,
                          prefetch ? k * prefetch->stride : 0);
    }
  }
}

#define FASTNN_INSTANTIATE(T)                                                                                          \
  template Skip worth_skipping<T>(ConstMatrix<T>, Index) noexcept;                                                     \
  template void note_nonzeros<T>(ConstMatrix<T>, Index, const Nonzeros<T>&) noexcept;                                  \
  template void product_skipping_zeros<T>(ConstMatrix<T>, ConstMatrix<T>, const T*, Matrix<T>) noexcept;               \
  template void product_skipping_zeros<T>(ConstMatrix<T>, PackedMatrix<T>, const T*, Matrix<T>) noexcept;              \
  template void product_transposed_skipping_zeros<T>(const Nonzeros<T>&, ConstMatrix<T>, Index, Index, ConstMatrix<T>, \
                                                     Matrix<T>, bool, const PrefetchTargets<T>*) noexcept;
FASTNN_INSTANTIATE(float)
FASTNN_INSTANTIATE(double)
#undef FASTNN_INSTANTIATE

}  // namespace fastnn::kernels
