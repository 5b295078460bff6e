// c = a b, where a row of c is the sum of the rows of b, each times an element of a row of a. From the outside in, with
// the data that each loop keeps in a cache:
//
//   for each block of kTerms rows of b                 c is stored and reloaded in between: chains stay exact
//     for each panel of columns of b                   the panel (kTerms rows x up to kMostLines cache lines) stays in L1
//       for each row of c, or some at once             the accumulators stay in registers
//         for each element that is not zero            the bits of a word say where they are
//
// A row of c has its own zeros, so that each product needs a load of b, which rows of a dense product share. But
// processors that multiply two vectors at a time also load two.
// SPDX-License-Identifier: BSD-3-Clause
#include "kernels/skip_zeros.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <cstring>
#include <utility>

#include "kernels/microkernel.h"

namespace fastnn::kernels {

namespace {

constexpr Index kTerms = 64;        // elements of a row of a, whose bits are one word
constexpr Index kRowsOfBits = 192;  // rows of a whose bits are on the stack

// Cache lines of a row of b at once: as many as there are registers for accumulators, beside the broadcast element of a.
// With 64-byte vectors they are fewer, so that a panel fits into L1. The columns are split evenly.
template <class T>
inline constexpr int kMostLines = kLineVectors<T> == 1   ? 8
                                  : kLineVectors<T> == 2 ? 7
                                                         : 3;
template <class T>
inline constexpr int kLeastLines = std::min(kLeastLinesToSkip, kMostLines<T> / 2 + 1);
// Rows of c at once, if they are so many lines wide: with few accumulators in a row, those of several rows are needed for
// enough independent chains to hide the latency of fma. Each row skips its own zeros.
template <class T>
constexpr int rows_at_once(int lines) {
  const int vectors = lines * kLineVectors<T>;
  if (kLineVectors<T> == 1 && vectors >= 5) return 2;
  return vectors >= 7 ? 1 : vectors >= 5 ? 2 : vectors == 4 ? 3 : 4;
}

// A block of terms for a panel of columns: c = start + a b. Element (i, p) of a is a[i * a_next + p * a_step].
template <class T>
struct Panel {
  const T* a = nullptr;
  Index a_next = 0, a_step = 0;
  const std::uint64_t* bits = nullptr;  // by row of a: where it has elements other than zero
  const T* b = nullptr;
  Index b_stride = 0;
  const T* start = nullptr;  // first values of the accumulators, or nullptr for zero
  Index start_next = 0;
  T* c = nullptr;
  Index c_stride = 0, rows = 0;
  const PrefetchTargets<T>* prefetch = nullptr;
  Index prefetch_at = 0;  // of the first element of c in these arrays
};

// A row of c, and the row of a.
template <class T, int kLines>
class Chains {
 public:
  [[gnu::always_inline]] Chains(const Panel<T>& panel, Index i) noexcept
      : a_(panel.a + i * panel.a_next), left_(panel.bits[i]) {
    const T* const start = panel.start + i * panel.start_next;
#pragma GCC unroll 16
    for (int v = 0; v < kVectors; ++v) sum_[v] = panel.start ? Vec<T>::load(start + v * kLanes) : Vec<T>::zero();
  }
  [[gnu::always_inline]] bool ended() const noexcept { return left_ == 0; }
  [[gnu::always_inline]] void add(const T* b, Index b_stride, Index a_step) noexcept {
    const Index p = std::countr_zero(left_);
    left_ &= left_ - 1;
    const auto factor = Vec<T>::set(a_[p * a_step]);
    const T* const row = b + p * b_stride;
#pragma GCC unroll 16
    for (int v = 0; v < kVectors; ++v) sum_[v] = fma(factor, Vec<T>::load(row + v * kLanes), sum_[v]);
  }
  [[gnu::always_inline]] void store(T* c) const noexcept {
#pragma GCC unroll 16
    for (int v = 0; v < kVectors; ++v) sum_[v].store(c + v * kLanes);
  }

 private:
  static constexpr int kVectors = kLines * kLineVectors<T>;
  static constexpr Index kLanes = Vec<T>::kLanes;
  const T* a_;
  std::uint64_t left_;
  Vec<T> sum_[kVectors];
};

// The lines of memory that are read soon after kRows rows of c: one is prefetched with each term, because the processor
// would drop most of a burst.
template <class T, int kRows, int kLines>
class Soon {
 public:
  void collect(const Panel<T>& panel, Index i) noexcept {
    next_ = end_ = lines_;
    for (int s = 0; s < panel.prefetch->count; ++s)
      for (Index r = i; r < i + kRows; ++r)
        for (Index j = 0; j < kLines; ++j)
          *end_++ = panel.prefetch->arrays[s] + panel.prefetch_at + r * panel.prefetch->stride + j * kPad<T>;
  }
  [[gnu::always_inline]] void one() noexcept {
    if (next_ != end_) __builtin_prefetch(*next_++);
  }
  void rest() noexcept {
    while (next_ != end_) one();
  }

 private:
  const T* lines_[PrefetchTargets<T>::kMost * kRows * kLines];
  const T **next_ = lines_, **end_ = lines_;
};

// Rows [i, panel.rows) of the panel, kRows at once, as far as they go; returns the first row that is left.
template <class T, int kRows, int kLines, bool kPrefetch>
Index add_rows(const Panel<T>& given, Index i) noexcept {
  const Panel<T> panel = given;  // a copy: stores to c cannot change it
  Soon<T, kRows, kLines> soon;
  const auto add = [&](auto&... chains) __attribute__((always_inline)) {
    while ((!chains.ended() && ...)) {
      (chains.add(panel.b, panel.b_stride, panel.a_step), ...);
      if constexpr (kPrefetch) soon.one();
    }
  };
  for (; i + kRows <= panel.rows; i += kRows) {
    if constexpr (kPrefetch) soon.collect(panel, i);
    [&]<int... k>(std::integer_sequence<int, k...>) __attribute__((always_inline)) {
      const auto run = [&](auto... chains) __attribute__((always_inline)) {
        if constexpr (kRows > 1) add(chains...);  // until one of them ends
        (add(chains), ...);
        (chains.store(panel.c + (i + k) * panel.c_stride), ...);
      };
      run(Chains<T, kLines>(panel, i + k)...);
    }(std::make_integer_sequence<int, kRows>{});
    if constexpr (kPrefetch) soon.rest();
  }
  return i;
}

template <class T, int kLines, bool kPrefetch>
void panel_kernel(const Panel<T>& panel) noexcept {
  constexpr int kRows = rows_at_once<T>(kLines);
  Index i = add_rows<T, kRows, kLines, kPrefetch>(panel, 0);
  if constexpr (kRows > 1) add_rows<T, 1, kLines, kPrefetch>(panel, i);
}

template <class T>
using PanelKernel = void (*)(const Panel<T>&) noexcept;
template <class T, bool kPrefetch, int... kIndex>
constexpr std::array<PanelKernel<T>, sizeof...(kIndex)> kernels_by_lines(std::integer_sequence<int, kIndex...>) {
  return {panel_kernel<T, kLeastLines<T> + kIndex, kPrefetch>...};
}
// kPanelKernels<T, with prefetching>[lines - kLeastLines<T>]
template <class T, bool kPrefetch>
inline constexpr auto kPanelKernels =
    kernels_by_lines<T, kPrefetch>(std::make_integer_sequence<int, kMostLines<T> - kLeastLines<T> + 1>{});

// Where a row of up to kTerms numbers, at any address, has other numbers than zero, as bits.
template <class T>
std::uint64_t bits_of_row(const T* row, Index count) noexcept {
  constexpr Index kLanes = Vec<T>::kLanes;
  std::uint64_t bits = 0;
  Index c = 0;
  for (; c + kLanes <= count; c += kLanes) bits |= nonzero_lanes(Vec<T>::loadu(row + c)) << c;
  for (; c < count; ++c) bits |= std::uint64_t{row[c] != 0} << c;
  return bits;
}

// The same of each column of up to kTerms rows, whose memory goes on to the next multiple of a vector.
template <class T>
void bits_of_columns(ConstMatrix<T> x, std::uint64_t* bits) noexcept {
  using Bits = typename Vec<T>::Bits;
  constexpr Index kLanes = Vec<T>::kLanes, kRows = 8 * sizeof(T);
  for (Index c = 0; c < x.cols; c += kLanes) {
    std::uint64_t words[kLanes] = {};
    for (Index r = (x.rows - 1) / kRows * kRows; r >= 0; r -= kRows) {
      Bits word{};  // lane by lane; the comparison gives -1 where it is true
      for (Index i = std::min(kRows, x.rows - r) - 1; i >= 0; --i)
        word += word - __builtin_bit_cast(Bits, Vec<T>::loadu(x.row(r + i) + c).lanes() != Vec<T>::zero().lanes());
      typename Vec<T>::Bit lanes[kLanes];
      std::memcpy(lanes, &word, sizeof(word));
      for (Index j = 0; j < kLanes; ++j) words[j] |= std::uint64_t{lanes[j]} << r;
    }
    std::copy_n(words, std::min(kLanes, x.cols - c), bits + c);
  }
}

// b: one of the two.
template <class T>
struct RightFactor {
  ConstMatrix<T> rows;
  PackedMatrix<T> panels;
};

// A panel is copied to rows without gaps if the rows of b lie on a page each. One row of c, or two, read them as they are.
template <class T>
bool needs_a_copy(const RightFactor<T>& b, Index rows) noexcept {
  constexpr Index kFewRows = 2, kPage = 4096;
  return b.panels || (rows > kFewRows && b.rows.stride * static_cast<Index>(sizeof(T)) >= kPage);
}

// A copy takes less time than it saves if enough rows of c read it.
template <class T>
bool worth_skipping(ConstMatrix<T> a, const RightFactor<T>& b, Matrix<T> c) noexcept {
  constexpr Index kRowsOfCopy = 24;
  return (c.rows >= kRowsOfCopy || !needs_a_copy(b, c.rows)) && has_many_zeros(a);
}

// Copies rows [first, first + count) and columns [column, column + columns) of b.
template <class T>
void copy_panel(const RightFactor<T>& b, Index first, Index count, Index column, Index columns, T* to) noexcept {
  for (Index c = 0; c < columns; c += kPad<T>) {
    Matrix<const T> from = b.rows;
    Index at = column + c;
    if (b.panels) {
      const auto panel = panel_of<T>(b.panels, at);
      from = panel.view, at -= panel.first;
    }
    const T* row = from.row(first) + at;
    for (Index p = 0; p < count; ++p, row += from.stride)
      for (Index j = 0; j < kPad<T>; j += Vec<T>::kLanes) Vec<T>::load(row + j).store(to + p * columns + c + j);
  }
}

// All columns of c for the terms of rows [first, first + count) of b. panel: for the first columns; its b is set here.
template <class T>
void add_terms(Panel<T> panel, const RightFactor<T>& b, Index first, Index count, Index columns) noexcept {
  alignas(kAlign) T copy[kTerms * kMostLines<T> * kPad<T>];
  const Groups panels{padded<T>(columns) / kPad<T>, kMostLines<T>};
  const bool copies = needs_a_copy(b, panel.rows);
  for (Index k = 0, column = 0; k < panels.count; ++k) {
    const Index lines = panels.size(k), width = lines * kPad<T>;
    if (copies) {
      copy_panel<T>(b, first, count, column, width, copy);
      panel.b = copy, panel.b_stride = width;
    } else {
      panel.b = b.rows.row(first) + column, panel.b_stride = b.rows.stride;
    }
    const auto index = static_cast<std::size_t>(lines - kLeastLines<T>);
    (panel.prefetch ? kPanelKernels<T, true>[index] : kPanelKernels<T, false>[index])(panel);
    if (panel.start) panel.start += width;
    panel.c += width, panel.prefetch_at += width, column += width;
  }
}

// c = a b + bias, or c += a b with `accumulate`, with so many terms in each element. a: its place in a Panel.
// bits_of(row, rows, p, count, bits): stores where these rows of a have other numbers than zero in terms [p, p + count).
template <class T, class BitsOf>
void skipping_product(const Panel<T>& a, Index terms, BitsOf bits_of, const RightFactor<T>& b, const T* bias,
                      bool accumulate, const PrefetchTargets<T>* prefetch, Matrix<T> c) noexcept {
  std::uint64_t bits[kRowsOfBits];
  for (Index row = 0; row < c.rows; row += kRowsOfBits) {
    for (Index p = 0; p < terms; p += kTerms) {
      const Index count = std::min(kTerms, terms - p);
      Panel<T> panel = a;
      panel.a += row * a.a_next + p * a.a_step;
      panel.bits = bits;
      panel.rows = std::min(kRowsOfBits, c.rows - row);
      panel.c = c.row(row), panel.c_stride = c.stride;
      panel.start = bias, panel.start_next = 0;
      if (p > 0 || accumulate) panel.start = panel.c, panel.start_next = c.stride;
      panel.prefetch = p + kTerms >= terms ? prefetch : nullptr;
      panel.prefetch_at = prefetch ? row * prefetch->stride : 0;
      bits_of(row, panel.rows, p, count, bits);
      add_terms<T>(panel, b, p, count, c.cols);
    }
  }
}

// By rows of x.
template <class T>
bool skipping_rows(ConstMatrix<T> x, const RightFactor<T>& b, const T* bias, bool accumulate,
                   const PrefetchTargets<T>* prefetch, Matrix<T> c) noexcept {
  if (!worth_skipping(x, b, c)) return false;
  const auto bits_of = [&](Index row, Index rows, Index p, Index count, std::uint64_t* bits) {
    for (Index r = 0; r < rows; ++r) bits[r] = bits_of_row(x.row(row + r) + p, count);
  };
  skipping_product<T>({.a = x.data, .a_next = x.stride, .a_step = 1}, x.cols, bits_of, b, bias, accumulate, prefetch,
                      c);
  return true;
}

}  // namespace

// The share was measured (python -m bench.zeros): with more terms, reading the bits takes about as long as it saves.
template <class T>
bool has_many_zeros(ConstMatrix<T> a) noexcept {
  constexpr Index kMostLooked = 4, kMostPercent = 60;  // of other numbers than zero
  const Index looked = std::min(kMostLooked, a.rows);
  Index others = 0;
  for (Index k = 0; k < looked; ++k) {
    const T* row = a.row((2 * k + 1) * a.rows / (2 * looked));
    for (Index p = 0; p < a.cols; p += kTerms)
      others += std::popcount(bits_of_row(row + p, std::min(kTerms, a.cols - p)));
  }
  return 100 * others < kMostPercent * looked * a.cols;
}

template <class T>
bool product_skipping_zeros(ConstMatrix<T> x, ConstMatrix<T> w, const T* bias, Matrix<T> y) noexcept {
  return skipping_rows<T>(x, {w, {}}, bias, false, nullptr, y);
}
template <class T>
bool product_skipping_zeros(ConstMatrix<T> x, PackedMatrix<T> w, const T* bias, Matrix<T> y) noexcept {
  return skipping_rows<T>(x, {{}, w}, bias, false, nullptr, y);
}
template <class T>
bool product_skipping_zeros(ConstMatrix<T> x, ConstMatrix<T> w, Matrix<T> y, bool accumulate,
                            const PrefetchTargets<T>* prefetch) noexcept {
  return skipping_rows<T>(x, {w, {}}, nullptr, accumulate, prefetch, y);
}

template <class T>
bool product_transposed_skipping_zeros(ConstMatrix<T> x, ConstMatrix<T> y, Matrix<T> c, bool accumulate,
                                       const PrefetchTargets<T>* prefetch) noexcept {
  const RightFactor<T> b{y, {}};
  if (!worth_skipping(x, b, c)) return false;
  const auto bits_of = [&](Index row, Index rows, Index p, Index count, std::uint64_t* bits) {
    bits_of_columns<T>(x.block(p, row, count, rows), bits);
  };
  skipping_product<T>({.a = x.data, .a_next = 1, .a_step = x.stride}, y.rows, bits_of, b, nullptr, accumulate, prefetch,
                      c);
  return true;
}

#define FASTNN_INSTANTIATE(T)                                                                             \
  template bool has_many_zeros<T>(ConstMatrix<T>) noexcept;                                               \
  template bool product_skipping_zeros<T>(ConstMatrix<T>, ConstMatrix<T>, const T*, Matrix<T>) noexcept;  \
  template bool product_skipping_zeros<T>(ConstMatrix<T>, PackedMatrix<T>, const T*, Matrix<T>) noexcept; \
  template bool product_skipping_zeros<T>(ConstMatrix<T>, ConstMatrix<T>, Matrix<T>, bool,                \
                                          const PrefetchTargets<T>*) noexcept;                            \
  template bool product_transposed_skipping_zeros<T>(ConstMatrix<T>, ConstMatrix<T>, Matrix<T>, bool,     \
                                                     const PrefetchTargets<T>*) noexcept;
FASTNN_INSTANTIATE(float)
FASTNN_INSTANTIATE(double)
#undef FASTNN_INSTANTIATE

}  // namespace fastnn::kernels
