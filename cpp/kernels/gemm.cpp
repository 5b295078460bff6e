// How blocks pass over the three products. From the outside in: k in blocks (c is stored and reloaded in between, which
// keeps every chain exact), rows of c in groups whose part of a fits in L2, panels of columns, blocks of rows. So the
// current panel of b (kBlock x a cache line or more) stays in L1 while all row blocks of the group pass over it.
// SPDX-License-Identifier: BSD-3-Clause
#include "kernels/gemm.h"

#include <algorithm>

#include "kernels/microkernel.h"

namespace fastnn::kernels {

namespace {

constexpr Index kFarBytes = 512 * 1024;  // a b beyond this comes from behind L2
constexpr Index kRowGroup = 192;         // rows of c a pass: 192 KB of L2 for its part of a, float32

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

// What the panels of a pass over k have in common.
template <class T>
struct Pass {
  Index all_rows, first_row;        // of b, and of those that this pass reads
  Index cols;                       // of c
  bool far;                         // b comes from beyond L2: the next panel is asked for
  const T* after = nullptr;         // the panel that is read after the last one of this pass
  const Ahead<T>* ahead = nullptr;  // what the caller of the product wants,
  Index ahead_at = 0;               // and where this pass stands in it
};

// The blocks of a panel: the rows of c, split evenly, so that no thin block is left over.
template <class T, int kVectors>
struct Blocks {
  Index all, count = ceil_div(all, block_rows<T>(kVectors));
  Index rows(Index r) const { return all / count + (r < all % count ? 1 : 0); }
};

template <class T, bool kTransposed>
void go_on(Block<T>& block, Index rows) noexcept {
  block.a += kTransposed ? rows : rows * block.a_stride;
  block.c += rows * block.c_stride;
  if (block.start) block.start += rows * block.start_stride;
}

// Blocks that ask for what comes next. at: where the panel stands in `ahead`.
template <class T, int kVectors, bool kTransposed>
[[gnu::noinline]] void asking_panel(Block<T> block, Index rows, const T* next, Index stride, const Ahead<T>* ahead,
                                    Index at) noexcept {
  const Blocks<T, kVectors> blocks{rows};
  Wishes<T> wishes(block.k);
  for (Index r = 0; r < blocks.count; ++r) {
    const Index count = blocks.rows(r), from = block.k * r / blocks.count, to = block.k * (r + 1) / blocks.count;
    wishes.clear();
    if (next) wishes.add(next + from * stride, stride, to - from);
    if (ahead) {
      for (int s = 0; s < ahead->count; ++s) wishes.add(ahead->arrays[s] + at, ahead->stride, count);
      at += count * ahead->stride;
    }
    const auto kernel = kKernels<T, kVectors, kTransposed, true>[static_cast<std::size_t>(count - 1)];
    kernel(block, &wishes);
    go_on<T, kTransposed>(block, count);
  }
}

// One panel of columns under all rows of c. next: the panel after this one, if it is to be asked for. left: columns of c
// from this panel on.
template <class T, int kVectors, bool kTransposed>
void panel(Block<T> block, Index rows, const T* next, const Pass<T>& pass, Index left) noexcept {
  constexpr bool kMayCopy = block_rows<T>(kVectors) >= 4 || kVectors == kLineVectors<T>;
  const Index stride = block.b_stride;
  alignas(kAlign) T copy[kMayCopy ? kBlock<T, kTransposed> * kVectors * Vec<T>::kLanes : 1];
  if constexpr (kMayCopy) {
    if (worth_a_copy<T, kTransposed>(rows, stride)) copy_panel<T, kVectors>(block, copy);
  }
  if (next || pass.ahead)
    return asking_panel<T, kVectors, kTransposed>(block, rows, next, stride, pass.ahead,
                                                  pass.ahead_at + pass.cols - left);
  const Blocks<T, kVectors> blocks{rows};
  for (Index r = 0; r < blocks.count; ++r) {
    const Index count = blocks.rows(r);
    kKernels<T, kVectors, kTransposed, false>[static_cast<std::size_t>(count - 1)](block, nullptr);
    go_on<T, kTransposed>(block, count);
  }
}

// The last columns, where they fill no more than the first vector of their cache line: the rest of the line is padding.
template <class T, bool kTransposed>
void narrow_panel(const Block<T>& block, Index rows, const Pass<T>& pass, Index left) noexcept {
  panel<T, 1, kTransposed>(block, rows, nullptr, pass, left);
  for (Index r = 0; r < rows; ++r)
    for (Index j = Vec<T>::kLanes; j < kPad<T>; j += Vec<T>::kLanes)
      Vec<T>::zero().store(block.c + r * block.c_stride + j);
}

enum class Lie { kRows, kPanels };  // how b lies: row-major, or in panels

// The block on the panel of kWidth columns at block.b, from its first row of this pass on.
template <class T, Index kWidth, Lie kLie>
Block<T> in_panel(Block<T> block, const Pass<T>& pass) noexcept {
  if constexpr (kLie == Lie::kPanels) {
    block.b += pass.first_row * kWidth;
    block.b_stride = kWidth;
  }
  return block;
}

// One panel, and on to the columns after it.
template <class T, int kVectors, bool kTransposed, Lie kLie>
void next_panel(Block<T>& block, Index rows, Index& cols, const Pass<T>& pass) noexcept {
  constexpr Index kWidth = kVectors * Vec<T>::kLanes;
  const T* const next = block.b + kWidth * (kLie == Lie::kRows ? 1 : pass.all_rows);
  const T* soon = nullptr;
  if (pass.far) soon = cols <= kWidth ? pass.after : kLie == Lie::kRows ? next : next + pass.first_row * kWidth;
  panel<T, kVectors, kTransposed>(in_panel<T, kWidth, kLie>(block, pass), rows, soon, pass, cols);
  block.b = next;
  block.c += kWidth;
  if (block.start) block.start += kWidth;
  cols -= kWidth;
}

// Panels of kLines lines as long as they fit, then narrower ones. Where two vectors make a line and panels are copied,
// three lines go as two panels of three vectors: a block of 4 x 3 accumulators loads less than one of 6 x 2.
template <class T, int kLines, bool kTransposed, Lie kLie>
void panels(Block<T> block, Index rows, Index cols, const Pass<T>& pass) noexcept {
  constexpr Index kNarrow = kLineVectors<T> > 1 ? Vec<T>::kLanes : 0;
  if constexpr (kLines == 1 && kLineVectors<T> == 2 && kTransposed)
    if (worth_a_copy<T, kTransposed>(rows, block.b_stride))
      while (cols > 2 * kPad<T> + kNarrow) {
        next_panel<T, 3, kTransposed, kLie>(block, rows, cols, pass);
        next_panel<T, 3, kTransposed, kLie>(block, rows, cols, pass);
      }
  while (cols > (kLines - 1) * kPad<T> + kNarrow)
    next_panel<T, kLines * kLineVectors<T>, kTransposed, kLie>(block, rows, cols, pass);
  if (cols <= 0) return;
  if constexpr (kLines > 1)
    panels<T, kLines / 2, kTransposed, kLie>(block, rows, cols, pass);
  else
    narrow_panel<T, kTransposed>(in_panel<T, kPad<T>, kLie>(block, pass), rows, pass, cols);
}

// Few rows need wide panels to have enough chains under way; many rows take the width that fills the registers.
template <class T, int kLines, bool kTransposed, Lie kLie>
void choose_width(const Block<T>& block, Index rows, Index cols, const Pass<T>& pass) noexcept {
  if constexpr (kLines > 1) {
    constexpr int kRows = block_rows<T>(kLines * kLineVectors<T>);
    if (kRows < 6 && rows > kRows) return choose_width<T, kLines / 2, kTransposed, kLie>(block, rows, cols, pass);
  }
  panels<T, kLines, kTransposed, kLie>(block, rows, cols, pass);
}

// kLines: of the widest panels.
template <class T, int kLines, bool kTransposed, Lie kLie>
void multiply(ConstMatrix<T> a, ConstMatrix<T> b, const T* bias, Matrix<T> c, bool onto,
              const Ahead<T>* ahead = nullptr) noexcept {
  if (c.rows <= 0 || c.cols <= 0) return;
  constexpr bool kPacked = kLie == Lie::kPanels;
  const bool far = b.rows * (kPacked ? padded<T>(c.cols) : b.stride) * static_cast<Index>(sizeof(T)) > kFarBytes;
  const Index step = kPacked ? std::min(kLines * kPad<T>, padded<T>(c.cols)) : b.stride;
  Index p = 0;
  do {  // at least once: without k, c is the bias
    const Index k = std::min(kBlock<T, kTransposed>, b.rows - p);
    const bool last = p + k == b.rows;
    for (Index r = 0; r < c.rows; r += kRowGroup) {
      const Index rows = std::min(kRowGroup, c.rows - r);
      Block<T> block{
          kTransposed ? a.row(p) + r : a.row(r) + p, a.stride, b.row(p), b.stride, k, bias, 0, c.row(r), c.stride};
      if (p > 0 || onto) {
        block.start = block.c;
        block.start_stride = c.stride;
      }
      Pass<T> pass{b.rows, p, c.cols, far};
      if (far && !(last && r + rows == c.rows)) pass.after = b.data + (r + rows < c.rows ? p : p + k) * step;
      if (last && ahead) pass.ahead = ahead, pass.ahead_at = r * ahead->stride;
      choose_width<T, kLines, kTransposed, kLie>(block, rows, c.cols, pass);
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
void product_transposed(ConstMatrix<T> x, ConstMatrix<T> y, Matrix<T> c, bool onto, const Ahead<T>* ahead) noexcept {
  if (x.rows == 1 && !onto) return outer_product<T>(x.data, y.data, c);
  multiply<T, kWidestLines<T>, true, Lie::kRows>(x, y, nullptr, c, onto, ahead);
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

#define FASTNN_INSTANTIATE(T)                                                                                     \
  template void product<T>(ConstMatrix<T>, ConstMatrix<T>, const T*, Matrix<T>) noexcept;                         \
  template void product<T>(ConstMatrix<T>, Panels<T>, const T*, Matrix<T>) noexcept;                              \
  template void product_transposed<T>(ConstMatrix<T>, ConstMatrix<T>, Matrix<T>, bool, const Ahead<T>*) noexcept; \
  template void product_few<T>(ConstMatrix<T>, ConstMatrix<T>, Matrix<T>) noexcept;                               \
  template void column_sums<T>(ConstMatrix<T>, T*, bool) noexcept;
FASTNN_INSTANTIATE(float)
FASTNN_INSTANTIATE(double)
#undef FASTNN_INSTANTIATE

}  // namespace fastnn::kernels
