// How blocks pass over the three products. From the outside in: k in blocks (c is stored and reloaded in between, which
// keeps every chain exact), rows of c in groups whose part of a fits in L2, panels of columns, blocks of rows. So the
// current panel of b (kBlock x a cache line or more) stays in L1 while all row blocks of the group pass over it.
// SPDX-License-Identifier: BSD-3-Clause
#include "kernels/gemm.h"

#include <algorithm>

#include "kernels/microkernel.h"

namespace fastnn::kernels {

namespace {

constexpr Index kRowGroup = 192;  // rows of c a pass: 192 KB of L2 for its part of a, float32

// Rows of b a pass: a panel of the usual width takes 16 KB (32 KB with 64-byte vectors) of L1. A transposed a takes a
// cache line of each of its rows as well, hence fewer.
template <class T, bool kTransposed>
inline constexpr Index kBlock = kLineVectors<T> == 1 || kTransposed ? 128 : 256;

// A panel of b whose rows lie far apart is first copied to a small buffer on the stack, where enough rows of c make up
// for it: its lines fall into few sets of L1 and many pages. A transposed a takes up L1 as well, so it pays sooner there.
template <class T, bool kTransposed>
bool worth_a_copy(Index rows, Index stride) noexcept {
  constexpr Index kRows = kTransposed ? 64 : 24;
  constexpr Index kBytes = kTransposed ? 1024 : 8192;
  return rows >= kRows && stride * static_cast<Index>(sizeof(T)) >= kBytes;
}

template <class T, int kVectors>
void copy_panel(Block<T>& block, T* to) noexcept {
  constexpr Index kWidth = kVectors * Vec<T>::kLanes;
  for (Index p = 0; p < block.k; ++p)
    for (Index j = 0; j < kWidth; j += Vec<T>::kLanes)
      Vec<T>::load(block.b + p * block.b_stride + j).store(to + p * kWidth + j);
  block.b = to;
  block.b_stride = kWidth;
}

// Rows [from, to) of a panel into L1, ahead of their use.
template <class T, int kVectors>
void prefetch_rows(const T* b, Index stride, Index from, Index to) noexcept {
  for (Index p = from; p < to; ++p)
    for (Index j = 0; j < kVectors * Vec<T>::kLanes; j += kPad<T>) __builtin_prefetch(b + p * stride + j);
}

// One panel of columns under all rows of c. The rows are split evenly, so that no thin block is left over.
// next: the panel after this one, or nullptr; where panels are copied it is fetched while this one is multiplied.
template <class T, int kVectors, bool kTransposed>
void panel(Block<T> block, Index rows, const T* next) noexcept {
  constexpr bool kMayCopy = block_rows<T>(kVectors) >= 4 || kVectors == kLineVectors<T>;
  const Index stride = block.b_stride;
  alignas(kAlign) T copy[kMayCopy ? kBlock<T, kTransposed> * kVectors * Vec<T>::kLanes : 1];
  if constexpr (kMayCopy) {
    if (worth_a_copy<T, kTransposed>(rows, stride)) copy_panel<T, kVectors>(block, copy);
  }
  if (block.b != copy) next = nullptr;
  const Index blocks = ceil_div(rows, block_rows<T>(kVectors));
  const Index each = rows / blocks, longer = rows % blocks;
  for (Index r = 0; r < blocks; ++r) {
    const Index count = each + (r < longer ? 1 : 0);
    if (next) prefetch_rows<T, kVectors>(next, stride, block.k * r / blocks, block.k * (r + 1) / blocks);
    kKernels<T, kVectors, kTransposed>[static_cast<std::size_t>(count - 1)](block);
    block.a += kTransposed ? count : count * block.a_stride;
    block.c += count * block.c_stride;
    if (block.start) block.start += count * block.start_stride;
  }
}

// The last columns, where they fill no more than the first vector of their cache line: the rest of the line is padding.
template <class T, bool kTransposed>
void narrow_panel(const Block<T>& block, Index rows) noexcept {
  panel<T, 1, kTransposed>(block, rows, nullptr);
  for (Index r = 0; r < rows; ++r)
    for (Index j = Vec<T>::kLanes; j < kPad<T>; j += Vec<T>::kLanes)
      Vec<T>::zero().store(block.c + r * block.c_stride + j);
}

enum class Lie { kRows, kPanels };  // how b lies: row-major, or in panels

// Rows of b: all of them, and the first that this pass reads.
struct Depth {
  Index whole, first;
};

// The block on the panel of kWidth columns at block.b, from its first row of this pass on.
template <class T, Index kWidth, Lie kLie>
Block<T> in_panel(Block<T> block, Depth depth) noexcept {
  if constexpr (kLie == Lie::kPanels) {
    block.b += depth.first * kWidth;
    block.b_stride = kWidth;
  }
  return block;
}

// One panel, and on to the columns after it.
template <class T, int kVectors, bool kTransposed, Lie kLie>
void next_panel(Block<T>& block, Index rows, Index& cols, Depth depth) noexcept {
  constexpr Index kWidth = kVectors * Vec<T>::kLanes;
  const T* const next = block.b + kWidth * (kLie == Lie::kRows ? 1 : depth.whole);
  panel<T, kVectors, kTransposed>(in_panel<T, kWidth, kLie>(block, depth), rows, cols > kWidth ? next : nullptr);
  block.b = next;
  block.c += kWidth;
  if (block.start) block.start += kWidth;
  cols -= kWidth;
}

// Panels of kLines lines as long as they fit, then narrower ones. Where two vectors make a line and panels are copied,
// three lines go as two panels of three vectors: a block of 4 x 3 accumulators loads less than one of 6 x 2.
template <class T, int kLines, bool kTransposed, Lie kLie>
void panels(Block<T> block, Index rows, Index cols, Depth depth) noexcept {
  constexpr Index kNarrow = kLineVectors<T> > 1 ? Vec<T>::kLanes : 0;
  if constexpr (kLines == 1 && kLineVectors<T> == 2 && kTransposed)
    if (worth_a_copy<T, kTransposed>(rows, block.b_stride))
      while (cols > 2 * kPad<T> + kNarrow) {
        next_panel<T, 3, kTransposed, kLie>(block, rows, cols, depth);
        next_panel<T, 3, kTransposed, kLie>(block, rows, cols, depth);
      }
  while (cols > (kLines - 1) * kPad<T> + kNarrow)
    next_panel<T, kLines * kLineVectors<T>, kTransposed, kLie>(block, rows, cols, depth);
  if (cols <= 0) return;
  if constexpr (kLines > 1)
    panels<T, kLines / 2, kTransposed, kLie>(block, rows, cols, depth);
  else
    narrow_panel<T, kTransposed>(in_panel<T, kPad<T>, kLie>(block, depth), rows);
}

// Few rows need wide panels to have enough chains under way; many rows take the width that fills the registers.
template <class T, int kLines, bool kTransposed, Lie kLie>
void choose_width(const Block<T>& block, Index rows, Index cols, Depth depth) noexcept {
  if constexpr (kLines > 1) {
    constexpr int kRows = block_rows<T>(kLines * kLineVectors<T>);
    if (kRows < 6 && rows > kRows) return choose_width<T, kLines / 2, kTransposed, kLie>(block, rows, cols, depth);
  }
  panels<T, kLines, kTransposed, kLie>(block, rows, cols, depth);
}

// kLines: of the widest panels.
template <class T, int kLines, bool kTransposed, Lie kLie>
void multiply(ConstMatrix<T> a, ConstMatrix<T> b, const T* bias, Matrix<T> c, bool onto) noexcept {
  if (c.rows <= 0 || c.cols <= 0) return;
  Index p = 0;
  do {  // at least once: without k, c is the bias
    const Index k = std::min(kBlock<T, kTransposed>, b.rows - p);
    for (Index r = 0; r < c.rows; r += kRowGroup) {
      const Index rows = std::min(kRowGroup, c.rows - r);
      Block<T> block{
          kTransposed ? a.row(p) + r : a.row(r) + p, a.stride, b.row(p), b.stride, k, bias, 0, c.row(r), c.stride};
      if (p > 0 || onto) {
        block.start = block.c;
        block.start_stride = c.stride;
      }
      choose_width<T, kLines, kTransposed, kLie>(block, rows, c.cols, {b.rows, p});
    }
    p += k;
  } while (p < b.rows);
}

template <class T>
inline constexpr int kWidestLines = 8 / kLineVectors<T>;  // eight vectors: still one row of them fits the registers

// x^T y of a single row of each: no chain is long enough to be worth a block of accumulators.
template <class T>
void outer_product(const T* x, const T* y, Matrix<T> c) noexcept {
  constexpr Index kLanes = Vec<T>::kLanes;
  for (Index col = 0; col < c.cols; col += kPad<T>) {
    Vec<T> row[kLineVectors<T>];
    for (int j = 0; j < kLineVectors<T>; ++j) row[j] = Vec<T>::load(y + col + j * kLanes);
    for (Index i = 0; i < c.rows; ++i) {
      const auto factor = Vec<T>::set(x[i]);
      for (int j = 0; j < kLineVectors<T>; ++j)
        fma(factor, row[j], Vec<T>::zero()).store(c.row(i) + col + j * kLanes);  // as the chains do: never -0
    }
  }
}

}  // namespace

template <class T>
void product(ConstMatrix<T> x, ConstMatrix<T> w, const T* bias, Matrix<T> y) noexcept {
  multiply<T, kWidestLines<T>, false, Lie::kRows>(x, w, bias, y, false);
}

template <class T>
void product(ConstMatrix<T> x, Panels<T> w, const T* bias, Matrix<T> y) noexcept {
  const ConstMatrix<T> first{w.data, w.rows, w.cols, 0};  // no stride: next_panel knows the width of each
  multiply<T, kPanelLines<T>, false, Lie::kPanels>(x, first, bias, y, false);
}

template <class T>
void product_transposed(ConstMatrix<T> x, ConstMatrix<T> y, Matrix<T> c, bool onto) noexcept {
  if (x.rows == 1 && !onto) return outer_product<T>(x.data, y.data, c);
  multiply<T, kWidestLines<T>, true, Lie::kRows>(x, y, nullptr, c, onto);
}

// Four outputs at a time share the loads of dy; a vector of outputs is folded at once.
template <class T>
void product_few(ConstMatrix<T> dy, ConstMatrix<T> w, Matrix<T> dx) noexcept {
  constexpr Index kLanes = Vec<T>::kLanes;
  constexpr Index kAtOnce = kLanes < 4 ? kLanes : 4;
  constexpr int kVectors = kLineVectors<T>;
  for (Index r = 0; r < dy.rows; ++r)
    for (Index n = 0; n < padded<T>(w.rows); n += kLanes) {
      Vec<T> sums[kLanes];
      for (Index j = 0; j < kLanes; j += kAtOnce) {
        const T* rows[kAtOnce];  // beyond the last row that one again: cut off below
        for (Index i = 0; i < kAtOnce; ++i) rows[i] = w.row(std::min(n + j + i, w.rows - 1));
        Vec<T> line[kAtOnce][kVectors] = {};
        for (Index c = 0; c < dy.cols; c += kPad<T>)
#pragma GCC unroll 4
          for (int v = 0; v < kVectors; ++v) {
            const auto factor = Vec<T>::load(dy.row(r) + c + v * kLanes);
#pragma GCC unroll 4
            for (Index i = 0; i < kAtOnce; ++i)
              line[i][v] = fma(factor, Vec<T>::load(rows[i] + c + v * kLanes), line[i][v]);
          }
#pragma GCC unroll 4
        for (Index i = 0; i < kAtOnce; ++i) {
#pragma GCC unroll 4
          for (int half = kVectors / 2; half > 0; half /= 2)
            for (int v = 0; v < half; ++v) line[i][v] += line[i][v + half];
          sums[j + i] = line[i][0];
        }
      }
      transpose_square(sums);
#pragma GCC unroll 8
      for (Index half = kLanes / 2; half > 0; half /= 2)
#pragma GCC unroll 8
        for (Index j = 0; j < half; ++j) sums[j] += sums[j + half];
      select(inside<T>(n, w.rows), sums[0], Vec<T>::zero()).store(dx.row(r) + n);
    }
}

template <class T>
void column_sums(ConstMatrix<T> y, T* sums, bool onto) noexcept {
  constexpr Index kLanes = Vec<T>::kLanes;
  for (Index c = 0; c < padded<T>(y.cols); c += kPad<T>) {
    Vec<T> sum[kLineVectors<T>];
    for (int j = 0; j < kLineVectors<T>; ++j) sum[j] = onto ? Vec<T>::load(sums + c + j * kLanes) : Vec<T>::zero();
    for (Index r = 0; r < y.rows; ++r)
      for (int j = 0; j < kLineVectors<T>; ++j) sum[j] += Vec<T>::load(y.row(r) + c + j * kLanes);
    for (int j = 0; j < kLineVectors<T>; ++j) sum[j].store(sums + c + j * kLanes);
  }
}

#define FASTNN_INSTANTIATE(T)                                                                    \
  template void product<T>(ConstMatrix<T>, ConstMatrix<T>, const T*, Matrix<T>) noexcept;        \
  template void product<T>(ConstMatrix<T>, Panels<T>, const T*, Matrix<T>) noexcept;             \
  template void product_transposed<T>(ConstMatrix<T>, ConstMatrix<T>, Matrix<T>, bool) noexcept; \
  template void product_few<T>(ConstMatrix<T>, ConstMatrix<T>, Matrix<T>) noexcept;              \
  template void column_sums<T>(ConstMatrix<T>, T*, bool) noexcept;
FASTNN_INSTANTIATE(float)
FASTNN_INSTANTIATE(double)
#undef FASTNN_INSTANTIATE

}  // namespace fastnn::kernels
