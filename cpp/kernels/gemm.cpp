// The blocking of c = a b. From the outside in, with the data that each loop keeps in a cache:
//
//   for each block of k (kBlock rows of b)             c is stored and reloaded in between: chains stay exact
//     for each group of kRowGroup rows of c            their part of a stays in L2
//       for each panel of columns of b                 the panel (kBlock rows x 1 to 4 cache lines) stays in L1
//         for each block of up to 12 rows of c         the accumulators stay in registers
//           micro_kernel                               (kernels/microkernel.h)
//
// SPDX-License-Identifier: BSD-3-Clause
#include "kernels/gemm.h"

#include <algorithm>

#include "kernels/microkernel.h"

namespace fastnn::kernels {

namespace {

constexpr Index kPrefetchBytes = 512 * 1024;  // a larger b does not fit in L2: its next panel is prefetched
constexpr Index kRowGroup = 192;              // rows of c in a group: their part of a takes 192 KB of L2 in float32

// Rows of b in a block of k: a panel of the usual width then takes 16 KB of L1, or 32 KB with 64-byte vectors. A
// transposed a also needs a cache line of each of its rows in L1, hence the smaller block.
template <class T, bool kTransposed>
inline constexpr Index kBlock = kLineVectors<T> == 1 || kTransposed ? 128 : 256;

// Is it faster to copy a panel of b to a buffer on the stack first? The rows of a panel with a large stride map to few
// sets of L1 and lie on many pages; the copy costs less than these conflicts when enough rows of c use it. With a
// transposed a, which needs L1 itself, that is the case for smaller strides.
template <class T, bool kTransposed>
bool worth_a_copy(Index rows, Index stride) noexcept {
  constexpr Index kRows = kTransposed ? 64 : 24;
  constexpr Index kBytes = kTransposed ? 1024 : 8192;
  return rows >= kRows && stride * static_cast<Index>(sizeof(T)) >= kBytes;
}

template <class T, int kVectors>
void copy_panel(BlockProduct<T>& block, T* to) noexcept {
  constexpr Index kWidth = kVectors * Vec<T>::kLanes;
  for (Index p = 0; p < block.k; ++p)
    for (Index j = 0; j < kWidth; j += Vec<T>::kLanes)
      Vec<T>::load(block.b + p * block.b_stride + j).store(to + p * kWidth + j);
  block.b = to;
  block.b_stride = kWidth;
}

// One loop over the panels of b, for one block of k and one group of rows.
template <class T>
struct PanelLoop {
  Index all_rows, first_row;                    // of b; the first row of this block of k
  Index cols;                                   // of c
  bool prefetch_b;                              // b is larger than L2: prefetch the next panel
  const T* after = nullptr;                     // the panel that is read after the last one of this loop
  const PrefetchTargets<T>* targets = nullptr;  // what the caller wants to be prefetched, or nullptr
  Index targets_offset = 0;                     // of the first element of this group of rows in these arrays
};

template <class T, bool kTransposed>
void advance_rows(BlockProduct<T>& block, Index rows) noexcept {
  block.a += kTransposed ? rows : rows * block.a_stride;
  block.c += rows * block.c_stride;
  if (block.start) block.start += rows * block.start_stride;
}

// As multiply_panel, with prefetching: each block of rows prefetches its share of the next panel, and the part of the
// caller's arrays that corresponds to the block. at: offset of the panel's first element in these arrays.
template <class T, int kVectors, bool kTransposed>
[[gnu::noinline]] void multiply_panel_prefetching(BlockProduct<T> block, Index rows, const T* next, Index stride,
                                                  const PrefetchTargets<T>* targets, Index at) noexcept {
  const Groups blocks{rows, block_rows<T>(kVectors)};
  PrefetchList<T> list(block.k);
  for (Index r = 0; r < blocks.count; ++r) {
    const Index count = blocks.size(r), from = block.k * r / blocks.count, to = block.k * (r + 1) / blocks.count;
    list.clear();
    if (next) list.add(next + from * stride, stride, to - from);
    if (targets) {
      for (int s = 0; s < targets->count; ++s) list.add(targets->arrays[s] + at, targets->stride, count);
      at += count * targets->stride;
    }
    const auto kernel = kKernels<T, kVectors, kTransposed, true>[static_cast<std::size_t>(count - 1)];
    kernel(block, &list);
    advance_rows<T, kTransposed>(block, count);
  }
}

// The columns of c that one panel of b gives, for all rows of the group. next: the panel to prefetch, or nullptr. left:
// number of columns of c from this panel on.
template <class T, int kVectors, bool kTransposed>
void multiply_panel(BlockProduct<T> block, Index rows, const T* next, const PanelLoop<T>& loop, Index left) noexcept {
  constexpr bool kMayCopy = block_rows<T>(kVectors) >= 4 || kVectors == kLineVectors<T>;
  const Index stride = block.b_stride;
  alignas(kAlign) T copy[kMayCopy ? kBlock<T, kTransposed> * kVectors * Vec<T>::kLanes : 1];
  if constexpr (kMayCopy) {
    if (worth_a_copy<T, kTransposed>(rows, stride)) copy_panel<T, kVectors>(block, copy);
  }
  if (next || loop.targets)
    return multiply_panel_prefetching<T, kVectors, kTransposed>(block, rows, next, stride, loop.targets,
                                                                loop.targets_offset + loop.cols - left);
  const Groups blocks{rows, block_rows<T>(kVectors)};
  for (Index r = 0; r < blocks.count; ++r) {
    const Index count = blocks.size(r);
    kKernels<T, kVectors, kTransposed, false>[static_cast<std::size_t>(count - 1)](block, nullptr);
    advance_rows<T, kTransposed>(block, count);
  }
}

// The last columns, where they fill at most the first vector of their cache line: the rest of the line is padding,
// which becomes zero without a product.
template <class T, bool kTransposed>
void multiply_narrow_panel(const BlockProduct<T>& block, Index rows, const PanelLoop<T>& loop, Index left) noexcept {
  multiply_panel<T, 1, kTransposed>(block, rows, nullptr, loop, left);
  for (Index r = 0; r < rows; ++r)
    for (Index j = Vec<T>::kLanes; j < kPad<T>; j += Vec<T>::kLanes)
      Vec<T>::zero().store(block.c + r * block.c_stride + j);
}

enum class Layout { kRowMajor, kPanels };  // of b

// `block` with b set to the rows of this block of k within the panel of kWidth columns that begins at block.b.
template <class T, Index kWidth, Layout kLayout>
BlockProduct<T> at_panel(BlockProduct<T> block, const PanelLoop<T>& loop) noexcept {
  if constexpr (kLayout == Layout::kPanels) {
    block.b += loop.first_row * kWidth;
    block.b_stride = kWidth;
  }
  return block;
}

// Multiplies by one panel, then moves `block` on to the columns after it.
template <class T, int kVectors, bool kTransposed, Layout kLayout>
void multiply_next_panel(BlockProduct<T>& block, Index rows, Index& cols, const PanelLoop<T>& loop) noexcept {
  constexpr Index kWidth = kVectors * Vec<T>::kLanes;
  const T* const next = block.b + kWidth * (kLayout == Layout::kRowMajor ? 1 : loop.all_rows);
  const T* to_prefetch = nullptr;
  if (loop.prefetch_b)
    to_prefetch = cols <= kWidth ? loop.after : kLayout == Layout::kRowMajor ? next : next + loop.first_row * kWidth;
  multiply_panel<T, kVectors, kTransposed>(at_panel<T, kWidth, kLayout>(block, loop), rows, to_prefetch, loop, cols);
  block.b = next;
  block.c += kWidth;
  if (block.start) block.start += kWidth;
  cols -= kWidth;
}

// Panels of kLines cache lines as long as they fit, then narrower ones. Where a line is two vectors and panels are
// copied, three lines are taken as two panels of three vectors: per product, a block of 4 x 3 accumulators needs fewer
// loads than one of 6 x 2.
template <class T, int kLines, bool kTransposed, Layout kLayout>
void multiply_panels(BlockProduct<T> block, Index rows, Index cols, const PanelLoop<T>& loop) noexcept {
  constexpr Index kNarrow = kLineVectors<T> > 1 ? Vec<T>::kLanes : 0;
  if constexpr (kLines == 1 && kLineVectors<T> == 2 && kTransposed)
    if (worth_a_copy<T, kTransposed>(rows, block.b_stride))
      while (cols > 2 * kPad<T> + kNarrow) {
        multiply_next_panel<T, 3, kTransposed, kLayout>(block, rows, cols, loop);
        multiply_next_panel<T, 3, kTransposed, kLayout>(block, rows, cols, loop);
      }
  while (cols > (kLines - 1) * kPad<T> + kNarrow)
    multiply_next_panel<T, kLines * kLineVectors<T>, kTransposed, kLayout>(block, rows, cols, loop);
  if (cols <= 0) return;
  if constexpr (kLines > 1)
    multiply_panels<T, kLines / 2, kTransposed, kLayout>(block, rows, cols, loop);
  else
    multiply_narrow_panel<T, kTransposed>(at_panel<T, kPad<T>, kLayout>(block, loop), rows, loop, cols);
}

// Few rows need wide panels for enough independent chains to hide the latency; many rows take the width with which the
// accumulators fill the registers.
template <class T, int kLines, bool kTransposed, Layout kLayout>
void choose_width(const BlockProduct<T>& block, Index rows, Index cols, const PanelLoop<T>& loop) noexcept {
  if constexpr (kLines > 1) {
    constexpr int kRows = block_rows<T>(kLines * kLineVectors<T>);
    if (kRows < 6 && rows > kRows) return choose_width<T, kLines / 2, kTransposed, kLayout>(block, rows, cols, loop);
  }
  multiply_panels<T, kLines, kTransposed, kLayout>(block, rows, cols, loop);
}

// kLines: cache lines of the widest panels.
template <class T, int kLines, bool kTransposed, Layout kLayout>
void multiply(ConstMatrix<T> a, ConstMatrix<T> b, const T* bias, Matrix<T> c, bool accumulate,
              const PrefetchTargets<T>* targets = nullptr) noexcept {
  if (c.rows <= 0 || c.cols <= 0) return;
  constexpr bool kPacked = kLayout == Layout::kPanels;
  const bool prefetch_b =
      b.rows * (kPacked ? padded<T>(c.cols) : b.stride) * static_cast<Index>(sizeof(T)) > kPrefetchBytes;
  const Index step = kPacked ? std::min(kLines * kPad<T>, padded<T>(c.cols)) : b.stride;
  Index p = 0;
  do {  // at least once: without k, c is the bias
    const Index k = std::min(kBlock<T, kTransposed>, b.rows - p);
    const bool last = p + k == b.rows;
    for (Index r = 0; r < c.rows; r += kRowGroup) {
      const Index rows = std::min(kRowGroup, c.rows - r);
      BlockProduct<T> block{
          kTransposed ? a.row(p) + r : a.row(r) + p, a.stride, b.row(p), b.stride, k, bias, 0, c.row(r), c.stride};
      if (p > 0 || accumulate) {
        block.start = block.c;
        block.start_stride = c.stride;
      }
      PanelLoop<T> loop{b.rows, p, c.cols, prefetch_b};
      if (prefetch_b && !(last && r + rows == c.rows)) loop.after = b.data + (r + rows < c.rows ? p : p + k) * step;
      if (last && targets) loop.targets = targets, loop.targets_offset = r * targets->stride;
      choose_width<T, kLines, kTransposed, kLayout>(block, rows, c.cols, loop);
    }
    p += k;
  } while (p < b.rows);
}

template <class T>
inline constexpr int kWidestLines =
    8 / kLineVectors<T>;  // eight vectors: a row of b that wide still fits the registers

// x^T y where x and y are one row each: every chain has a single step, so accumulators in registers gain nothing.
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

// Stores numbers as rows [first, first + count) of a matrix with one column, and zeros in the padding.
template <class T>
void store_column(const T* numbers, Matrix<T> to, Index first, Index count) noexcept {
  for (Index i = 0; i < count; ++i) {
    T* row = to.row(first + i);
    for (Index j = 0; j < kPad<T>; j += Vec<T>::kLanes) Vec<T>::zero().store(row + j);
    row[0] = numbers[i];
  }
}

// kVectors vectors of the column c = x^T y, from element `first` on, as independent chains.
template <class T, int kVectors>
void elements_of_column(ConstMatrix<T> x, ConstMatrix<T> y, Matrix<T> c, Index first) noexcept {
  constexpr Index kLanes = Vec<T>::kLanes;
  Vec<T> sum[kVectors];
  for (int v = 0; v < kVectors; ++v) sum[v] = Vec<T>::zero();
  for (Index r = 0; r < x.rows; ++r) {
    const auto factor = Vec<T>::set(y.row(r)[0]);
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) sum[v] = fma(factor, Vec<T>::loadu(x.row(r) + first + v * kLanes), sum[v]);
  }
  alignas(kAlign) T elements[kVectors * kLanes];
  for (int v = 0; v < kVectors; ++v) sum[v].store(elements + v * kLanes);
  store_column(elements, c, first, std::min(kVectors * kLanes, c.rows - first));
}

// c = x^T y where y and c have one column: vectors hold elements of c, not a row of it, which is one number and padding.
// Rows of x are padded. Each element is the same chain as in a product of any other width.
template <class T>
void product_with_column(ConstMatrix<T> x, ConstMatrix<T> y, Matrix<T> c) noexcept {
  constexpr Index kLanes = Vec<T>::kLanes;
  Index first = 0;
  for (; first + 7 * kLanes < c.rows; first += 8 * kLanes) elements_of_column<T, 8>(x, y, c, first);
  for (; first + kLanes < c.rows; first += 2 * kLanes) elements_of_column<T, 2>(x, y, c, first);
  if (first < c.rows) elements_of_column<T, 1>(x, y, c, first);
}

// Is it worth computing c^T = y^T x instead of c = x^T y, whose few columns leave many lanes of their last vector empty?
constexpr Index kTurnedCols = 96;  // of c^T at most
template <class T>
inline constexpr Index kTurnedRows = 2 * kPad<T>;
template <class T>
bool worth_turning(Index rows, Index cols) noexcept {
  constexpr Index kLanes = Vec<T>::kLanes;
  const Index straight = rows * ceil_div(cols, kLanes), turned = cols * ceil_div(rows, kLanes);
  return cols <= kTurnedRows<T> && rows <= kTurnedCols && 10 * turned <= 7 * straight;
}

// c = x^T y by way of c^T. Each element is the same chain, since the factors of a product may change places.
template <class T>
void product_turned(ConstMatrix<T> x, ConstMatrix<T> y, Matrix<T> c) noexcept {
  constexpr Index kLanes = Vec<T>::kLanes;
  alignas(kAlign) T memory[kTurnedRows<T> * kTurnedCols];
  const Matrix<T> turned{memory, c.cols, c.rows, padded<T>(c.rows)};
  multiply<T, kWidestLines<T>, true, Layout::kRowMajor>(y, x, nullptr, turned, false);
  for (Index first = 0; first < c.cols; first += kLanes)
    for (Index r = 0; r < c.rows; r += kLanes) {
      Vec<T> square[kLanes];
#pragma GCC unroll 16
      for (Index j = 0; j < kLanes; ++j)
        square[j] = first + j < c.cols ? Vec<T>::load(turned.row(first + j) + r) : Vec<T>::zero();
      transpose_square(square);
      for (Index i = 0; i < std::min(kLanes, c.rows - r); ++i) square[i].store(c.row(r + i) + first);
    }
  for (Index first = ceil_div(c.cols, kLanes) * kLanes; first < padded<T>(c.cols); first += kLanes)
    for (Index r = 0; r < c.rows; ++r) Vec<T>::zero().store(c.row(r) + first);
}

// y = x w + bias where y has one column: lanes are rows of x, which are transposed in registers.
template <class T>
void product_to_column(ConstMatrix<T> x, ConstMatrix<T> w, const T* bias, Matrix<T> y) noexcept {
  constexpr Index kLanes = Vec<T>::kLanes;
  for (Index first = 0; first < y.rows; first += kLanes) {
    const T* row[kLanes];  // behind the last row: the last one again, whose results are not stored
    for (Index i = 0; i < kLanes; ++i) row[i] = x.row(std::min(first + i, y.rows - 1));
    auto sum = Vec<T>::set(bias ? bias[0] : T(0));
    Index k = 0;
    for (; k + kLanes <= w.rows; k += kLanes) {
      Vec<T> square[kLanes];
#pragma GCC unroll 16
      for (Index i = 0; i < kLanes; ++i) square[i] = Vec<T>::loadu(row[i] + k);
      transpose_square(square);
#pragma GCC unroll 16
      for (Index j = 0; j < kLanes; ++j) sum = fma(square[j], Vec<T>::set(w.row(k + j)[0]), sum);
    }
    alignas(kAlign) T elements[kLanes];
    for (; k < w.rows; ++k) {
      for (Index i = 0; i < kLanes; ++i) elements[i] = row[i][k];
      sum = fma(Vec<T>::load(elements), Vec<T>::set(w.row(k)[0]), sum);
    }
    sum.store(elements);
    store_column(elements, y, first, std::min(kLanes, y.rows - first));
  }
}

}  // namespace

template <class T>
void product(ConstMatrix<T> x, ConstMatrix<T> w, const T* bias, Matrix<T> y) noexcept {
  // With shorter vectors, two of which a processor multiplies at a time, the transposition takes as long as it saves.
  if constexpr (kLineVectors<T> == 1)
    if (y.cols == 1 && y.rows >= Vec<T>::kLanes && w.rows >= Vec<T>::kLanes) return product_to_column<T>(x, w, bias, y);
  multiply<T, kWidestLines<T>, false, Layout::kRowMajor>(x, w, bias, y, false);
}

template <class T>
void product(ConstMatrix<T> x, PackedMatrix<T> w, const T* bias, Matrix<T> y) noexcept {
  const ConstMatrix<T> first{w.data, w.rows, w.cols,
                             0};  // the stride is the panel's width: multiply_next_panel sets it
  multiply<T, kPanelLines<T>, false, Layout::kPanels>(x, first, bias, y, false);
}

template <class T>
void product(ConstMatrix<T> x, ConstMatrix<T> w, Matrix<T> y, bool accumulate,
             const PrefetchTargets<T>* prefetch) noexcept {
  multiply<T, kWidestLines<T>, false, Layout::kRowMajor>(x, w, nullptr, y, accumulate, prefetch);
}

template <class T>
void product_transposed(ConstMatrix<T> x, ConstMatrix<T> y, Matrix<T> c, bool accumulate,
                        const PrefetchTargets<T>* prefetch) noexcept {
  if (x.rows == 1 && !accumulate) return outer_product<T>(x.data, y.data, c);
  const bool padded_rows = x.stride % kPad<T> == 0;
  if (c.cols == 1 && !accumulate && !prefetch && padded_rows) return product_with_column<T>(x, y, c);
  if (!accumulate && !prefetch && padded_rows && worth_turning<T>(c.rows, c.cols)) return product_turned<T>(x, y, c);
  multiply<T, kWidestLines<T>, true, Layout::kRowMajor>(x, y, nullptr, c, accumulate, prefetch);
}

// Four outputs at a time share the loads of dy. The partial sums of a whole vector of outputs are added together.
template <class T>
void product_few_rows(ConstMatrix<T> dy, ConstMatrix<T> w, Matrix<T> dx) noexcept {
  constexpr Index kLanes = Vec<T>::kLanes;
  constexpr Index kAtOnce = kLanes < 4 ? kLanes : 4;
  constexpr int kVectors = kLineVectors<T>;
  for (Index r = 0; r < dy.rows; ++r)
    for (Index n = 0; n < padded<T>(w.rows); n += kLanes) {
      Vec<T> sums[kLanes];
      for (Index j = 0; j < kLanes; j += kAtOnce) {
        const T* rows[kAtOnce];  // behind the last row of w: the last one again, whose results are masked below
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
      select(inside<T>(n, w.rows), sums_of_lanes(sums), Vec<T>::zero()).store(dx.row(r) + n);
    }
}

// The sums of kLines cache lines of columns, which are as many independent chains.
template <class T, int kLines>
void sums_of_lines(ConstMatrix<T> y, Index first, T* sums, bool accumulate) noexcept {
  constexpr Index kLanes = Vec<T>::kLanes;
  constexpr int kVectors = kLines * kLineVectors<T>;
  Vec<T> sum[kVectors];
  for (int v = 0; v < kVectors; ++v) sum[v] = accumulate ? Vec<T>::load(sums + first + v * kLanes) : Vec<T>::zero();
  for (Index r = 0; r < y.rows; ++r) {
    const T* row = y.row(r) + first;
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) sum[v] += Vec<T>::load(row + v * kLanes);
  }
  for (int v = 0; v < kVectors; ++v) sum[v].store(sums + first + v * kLanes);
}

// An addition takes the time of several, so that one vector takes as long as eight, which are added side by side.
template <class T>
inline constexpr int kSumLines = 8 / kLineVectors<T>;
template <class T, int kLines = kSumLines<T>>
void sums_of_rest(ConstMatrix<T> y, Index first, Index lines, T* sums, bool accumulate) noexcept {
  if (lines == kLines) return sums_of_lines<T, kLines>(y, first, sums, accumulate);
  if constexpr (kLines > 1) sums_of_rest<T, kLines - 1>(y, first, lines, sums, accumulate);
}

template <class T>
void column_sums(ConstMatrix<T> y, T* sums, bool accumulate) noexcept {
  const Index end = padded<T>(y.cols);
  Index c = 0;
  for (; c + kSumLines<T> * kPad<T> <= end; c += kSumLines<T> * kPad<T>)
    sums_of_lines<T, kSumLines<T>>(y, c, sums, accumulate);
  sums_of_rest<T>(y, c, (end - c) / kPad<T>, sums, accumulate);
}

#define FASTNN_INSTANTIATE(T)                                                                                    \
  template void product<T>(ConstMatrix<T>, ConstMatrix<T>, const T*, Matrix<T>) noexcept;                        \
  template void product<T>(ConstMatrix<T>, PackedMatrix<T>, const T*, Matrix<T>) noexcept;                       \
  template void product_transposed<T>(ConstMatrix<T>, ConstMatrix<T>, Matrix<T>, bool,                           \
                                      const PrefetchTargets<T>*) noexcept;                                       \
  template void product<T>(ConstMatrix<T>, ConstMatrix<T>, Matrix<T>, bool, const PrefetchTargets<T>*) noexcept; \
  template void product_few_rows<T>(ConstMatrix<T>, ConstMatrix<T>, Matrix<T>) noexcept;                         \
  template void column_sums<T>(ConstMatrix<T>, T*, bool) noexcept;
FASTNN_INSTANTIATE(float)
FASTNN_INSTANTIATE(double)
#undef FASTNN_INSTANTIATE

}  // namespace fastnn::kernels
