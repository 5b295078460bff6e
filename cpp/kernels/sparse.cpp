// SPDX-License-Identifier: BSD-3-Clause
#include "kernels/sparse.h"

#include <algorithm>
#include <cmath>

#include "core/simd.h"

namespace fastnn::kernels {

namespace {

constexpr Index kCellsAtOnce = 256;         // numbers and columns that are read before a product uses them
constexpr Index kFarWeights = 1024 * 1024;  // bytes of W beyond which its rows are prefetched

// Some cells of a row, as T.
template <class T>
struct CellsRead {
  T values[kCellsAtOnce];
  std::int32_t columns[kCellsAtOnce];

  // Reads the cells of row r from its cell k on, as many as there is room for; returns their number.
  Index take(const SparseRows<T>& x, Index r, Index k) noexcept {
    const Index some = std::min(kCellsAtOnce, x.cells(r) - k);
    read_cells<T>(*x.source, x.first_cell(r) + k, some, x.scaling, values, columns);
    return some;
  }
};

// Calls use(value, column, row) for all cells of rows [first, first + count). Returns false if a value is not finite.
template <class T, class Use>
[[gnu::always_inline]] inline bool each_cell(const SparseRows<T>& x, Index first, Index count, Use use) noexcept {
  CellsRead<T> read;
  bool finite = true;
  for (Index r = first; r < first + count; ++r)
    for (Index k = 0, n = x.cells(r); k < n; k += kCellsAtOnce) {
      const Index some = read.take(x, r, k);
      for (Index i = 0; i < some; ++i) {
        finite = finite && std::isfinite(read.values[i]);
        use(read.values[i], read.columns[i], r);
      }
    }
  return finite;
}

// kVectors vectors of y from `start`: the chains of one row over `count` cells.
template <class T, int kVectors>
[[gnu::always_inline]] inline void cell_chains(const CellsRead<T>& x, Index count, const T* w, Index stride,
                                               const T* start, T* y) noexcept {
  constexpr Index kLanes = Vec<T>::kLanes;
  Vec<T> sums[kVectors];
#pragma GCC unroll 8
  for (int j = 0; j < kVectors; ++j) sums[j] = start ? Vec<T>::load(start + j * kLanes) : Vec<T>::zero();
  for (Index k = 0; k < count; ++k) {
    const auto value = Vec<T>::set(x.values[k]);
    const T* row = w + x.columns[k] * stride;
#pragma GCC unroll 8
    for (int j = 0; j < kVectors; ++j) sums[j] = fma(value, Vec<T>::load(row + j * kLanes), sums[j]);
  }
#pragma GCC unroll 8
  for (int j = 0; j < kVectors; ++j) sums[j].store(y + j * kLanes);
}

// All columns of one row of y, with as many accumulators as fit.
template <class T>
void row_of_chains(const CellsRead<T>& x, Index count, ConstMatrix<T> w, const T* start, T* y) noexcept {
  constexpr Index kLanes = Vec<T>::kLanes;
  const Index width = padded<T>(w.cols);
  const auto at = [start](Index c) { return start ? start + c : nullptr; };
  Index c = 0;
  for (; c + 8 * kLanes <= width; c += 8 * kLanes) cell_chains<T, 8>(x, count, w.data + c, w.stride, at(c), y + c);
  for (; c + 4 * kLanes <= width; c += 4 * kLanes) cell_chains<T, 4>(x, count, w.data + c, w.stride, at(c), y + c);
  for (; c < width; c += kLanes) cell_chains<T, 1>(x, count, w.data + c, w.stride, at(c), y + c);
}

}  // namespace

double mean_cells(const Source& source) noexcept {
  return source.rows == 0 ? 0
                          : static_cast<double>(source.cells->start(source.rows)) / static_cast<double>(source.rows);
}

template <class T>
bool finite_cells(const SparseRows<T>& x, Index first, Index count) noexcept {
  return each_cell<T>(x, first, count, [](T, std::int32_t, Index) {});
}

template <class T>
bool sort_cells(const SparseRows<T>& x, Index first, Index count, Index chunk, Index at,
                const CellBlocks<T>& to) noexcept {
  Index* starts = to.starts + chunk * (to.blocks + 1);
  std::fill_n(starts, to.blocks + 1, Index{0});
  const auto width = static_cast<std::uint32_t>(to.width);
  const SparseCells& cells = *x.source->cells;
  for (Index r = first; r < first + count; ++r)
    for (Index k = x.first_cell(r), end = k + x.cells(r); k < end; ++k)
      ++starts[static_cast<std::uint32_t>(cells.column(k)) / width];
  for (Index b = 0, sum = at; b <= to.blocks; ++b) {
    const Index here = starts[b];
    starts[b] = sum;
    sum += here;
  }
  const bool finite = each_cell<T>(x, first, count, [&](T value, std::int32_t of, Index row) {
    const auto column = static_cast<std::uint32_t>(of), block = column / width;
    to.cells[starts[block]++] = {value, static_cast<std::int32_t>(row),
                                 static_cast<std::int32_t>(column - block * width)};
  });
  // Each start is now the end of its block, which is the start of the next one.
  std::copy_backward(starts, starts + to.blocks, starts + to.blocks + 1);
  starts[0] = at;
  return finite;
}

template <class T>
double max_abs_cell(const CellBlocks<T>& x, Index chunk) noexcept {
  const Index* starts = x.starts + chunk * (x.blocks + 1);
  T most = 0;
  for (Index k = starts[0]; k < starts[x.blocks]; ++k) most = std::max(most, std::abs(x.cells[k].value));
  return static_cast<double>(most);
}

template <class T>
void sparse_product(const SparseRows<T>& x, Index first, ConstMatrix<T> w, const T* bias, Matrix<T> y) noexcept {
  const bool far = w.rows * w.stride * static_cast<Index>(sizeof(T)) > kFarWeights;
  CellsRead<T> read;
  for (Index r = 0; r < y.rows; ++r) {
    const T* start = bias;
    Index k = 0;
    const Index n = x.cells(first + r);
    do {  // at least once: without cells, y is the bias
      const Index some = read.take(x, first + r, k);
      for (Index i = 0; far && i < some; ++i)
        for (Index c = 0; c < w.cols; c += kPad<T>) __builtin_prefetch(w.row(read.columns[i]) + c);
      row_of_chains<T>(read, some, w, start, y.row(r));
      start = y.row(r);
      k += some;
    } while (k < n);
  }
}

template <class T>
void sparse_product_transposed(const CellBlocks<T>& x, Index block, Index first, ConstMatrix<T> y, Matrix<T> c,
                               bool accumulate, const PrefetchTargets<T>* prefetch) noexcept {
  constexpr Index kLanes = Vec<T>::kLanes;
  const Index width = padded<T>(c.cols);
  for (Index r = 0; r < c.rows; ++r) {
    for (Index j = 0; !accumulate && j < width; j += kLanes) Vec<T>::zero().store(c.row(r) + j);
    for (int a = 0; prefetch && a < prefetch->count; ++a)
      for (Index j = 0; j < width; j += kPad<T>) __builtin_prefetch(prefetch->arrays[a] + r * prefetch->stride + j);
  }
  const Index end = ceil_div(first + y.rows, x.chunk_rows);
  for (Index chunk = first / x.chunk_rows; chunk < end; ++chunk) {
    const Index* starts = x.starts + chunk * (x.blocks + 1) + block;
    for (const Cell<T>* cell = x.cells + starts[0]; cell < x.cells + starts[1]; ++cell) {
      const Index row = cell->row - first;
      if (row < 0 || row >= y.rows) continue;
      const auto value = Vec<T>::set(cell->value);
      const T* from = y.row(row);
      T* to = c.row(cell->column);
      for (Index j = 0; j < width; j += kLanes) fma(value, Vec<T>::load(from + j), Vec<T>::load(to + j)).store(to + j);
    }
  }
}

#define FASTNN_INSTANTIATE(T)                                                                                     \
  template bool finite_cells<T>(const SparseRows<T>&, Index, Index) noexcept;                                     \
  template bool sort_cells<T>(const SparseRows<T>&, Index, Index, Index, Index, const CellBlocks<T>&) noexcept;   \
  template double max_abs_cell<T>(const CellBlocks<T>&, Index) noexcept;                                          \
  template void sparse_product<T>(const SparseRows<T>&, Index, ConstMatrix<T>, const T*, Matrix<T>) noexcept;     \
  template void sparse_product_transposed<T>(const CellBlocks<T>&, Index, Index, ConstMatrix<T>, Matrix<T>, bool, \
                                             const PrefetchTargets<T>*) noexcept;
FASTNN_INSTANTIATE(float)
FASTNN_INSTANTIATE(double)
#undef FASTNN_INSTANTIATE

}  // namespace fastnn::kernels
