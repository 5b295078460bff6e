// Reductions. Sums are taken in double over eight partial sums: element i is added to partial sum i % 8, and the
// partial sums are added in a fixed order. So a sum has the same bits for every width of the processor's vectors.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <limits>

#include "core/simd.h"
#include "core/types.h"

namespace fastnn::kernels {

class LaneSum {
 public:
  static constexpr Index kLanes = 8;

  LaneSum() noexcept { part_.fill(Vec<double>::zero()); }
  // Adds n elements, beginning with partial sum 0.
  template <class T>
  void add(const T* x, Index n) noexcept {
    of_numbers(x, n, [](auto v) { return v; });
  }
  template <class T>
  void add_squares(const T* x, Index n) noexcept {
    of_numbers(x, n, [](auto v) { return v * v; });
  }
  template <class T>
  void add_sizes(const T* x, Index n) noexcept {
    using std::abs;
    of_numbers(x, n, [](auto v) { return abs(v); });
  }
  // Adds f(0), f(1), ... f(n - 1), where f(i) is a vector of the doubles from number i on. Those behind n are read, too.
  template <class F>
  void add(Index n, F f) noexcept {
    run(n, f, [&](Index i) { return select(inside<double>(i, n), f(i), Vec<double>::zero()); });
  }
  // The totals of as many sums as a vector has lanes, with the same additions as total().
  static Vec<double> totals(const LaneSum* sums) noexcept {
    Vec<double> rows[kWidth];
    for (Index i = 0; i < kWidth; ++i) {
      Parts part = sums[i].part_;
      for (std::size_t half = kParts / 2; half > 0; half /= 2)
        for (std::size_t p = 0; p < half; ++p) part[p] += part[p + half];
      rows[i] = part[0];
    }
    return sums_of_lanes(rows);
  }
  double total() const noexcept {
    double lane[kLanes];
    store_lanes(lane);
    return ((lane[0] + lane[4]) + (lane[2] + lane[6])) + ((lane[1] + lane[5]) + (lane[3] + lane[7]));
  }

 private:
  static constexpr Index kWidth = Vec<double>::kLanes, kParts = kLanes / kWidth;
  using Parts = std::array<Vec<double>, static_cast<std::size_t>(kParts)>;

  template <class T, class F>
  [[gnu::always_inline]] void of_numbers(const T* x, Index n, F f) noexcept {
    T rest[kLanes] = {};
    const Index whole = n / kLanes * kLanes;
    std::copy(x + whole, x + n, rest);
    run(n, [&](Index i) { return f(load_doubles(x + i)); }, [&](Index i) { return f(load_doubles(rest + i - whole)); });
  }
  // last(i): of the group of lanes that is not full.
  template <class F, class Last>
  [[gnu::always_inline]] void run(Index n, F f, Last last) noexcept {
    Parts part = part_;  // a copy, which stays in registers
    Index i = 0;
    for (; i + kLanes <= n; i += kLanes)
#pragma GCC unroll 8
      for (Index p = 0; p < kParts; ++p) part[static_cast<std::size_t>(p)] += f(i + p * kWidth);
    if (i < n)
#pragma GCC unroll 8
      for (Index p = 0; p < kParts; ++p) part[static_cast<std::size_t>(p)] += last(i + p * kWidth);
    part_ = part;
  }
  void store_lanes(double* lane) const noexcept {
    for (const auto& each : part_) each.storeu(lane), lane += kWidth;
  }
  Parts part_;
};

// Calls f(first, count) for groups of neighbouring rows whose sums are added up together.
inline constexpr Index kRowsAtOnce = Vec<double>::kLanes;
template <class F>
void by_several_rows(Index first, Index count, F f) noexcept {
  for (Index r = first; r < first + count; r += kRowsAtOnce) f(r, std::min(kRowsAtOnce, first + count - r));
}

// Of all elements of a matrix whose rows are padded with zeros, which are added, too. Even and odd rows have sums of
// their own, so that an addition does not have to wait for the one before.
template <class T, class Add>
double sum_of_rows(ConstMatrix<T> x, Add add) noexcept {
  const Index cols = ceil_div(x.cols, LaneSum::kLanes) * LaneSum::kLanes;
  LaneSum even, odd;
  Index r = 0;
  for (; r + 1 < x.rows; r += 2) add(even, x.row(r), cols), add(odd, x.row(r + 1), cols);
  if (r < x.rows) add(even, x.row(r), cols);
  return even.total() + odd.total();
}
template <class T>
double sum_of_squares(ConstMatrix<T> x) noexcept {
  return sum_of_rows(x, [](LaneSum& sum, const T* row, Index n) { sum.add_squares(row, n); });
}
template <class T>
double sum_of_sizes(ConstMatrix<T> x) noexcept {
  return sum_of_rows(x, [](LaneSum& sum, const T* row, Index n) { sum.add_sizes(row, n); });
}

// The largest |x| of a matrix; infinity if any element is Inf or NaN.
template <class T>
double max_abs(ConstMatrix<T> x) noexcept {
  constexpr Index kLanes = Vec<T>::kLanes;
  const auto zero = Vec<T>::zero();
  // x * 0 is 0 for finite x and NaN otherwise. The bits of these products are ORed together.
  auto largest = zero, nonfinite = zero;
  const Index whole = x.cols / kLanes * kLanes;
  for (Index r = 0; r < x.rows; ++r) {
    for (Index c = 0; c < whole; c += kLanes) {
      const auto v = Vec<T>::loadu(x.row(r) + c);
      largest = max(largest, abs(v));
      nonfinite = nonfinite | (v * zero);
    }
    for (Index c = whole; c < x.cols; ++c) {
      const auto v = Vec<T>::set(x.row(r)[c]);
      largest = max(largest, abs(v));
      nonfinite = nonfinite | (v * zero);
    }
  }
  if (!all_zero(nonfinite)) return std::numeric_limits<double>::infinity();
  alignas(kAlign) T lanes[kLanes];
  largest.store(lanes);
  return static_cast<double>(*std::max_element(lanes, lanes + kLanes));
}

// The first row of x with an element below `lowest` or above `highest`, or -1. NaN counts as neither.
template <class T>
Index first_outside(ConstMatrix<T> x, T lowest, T highest) noexcept {
  constexpr Index kLanes = Vec<T>::kLanes;
  const auto low = Vec<T>::set(lowest), high = Vec<T>::set(highest);
  const auto is_outside = [&](T number) { return number < lowest || number > highest; };
  Mask<T> outside{};
  bool found = false;
  for (Index r = 0; r < x.rows; ++r) {
    const T* row = x.row(r);
    for (Index c = 0; c < x.cols; c += kLanes) {
      // A vector may reach into the rows below, whose numbers there do not count, but not beyond the last one.
      if (c + kLanes <= (x.rows - 1 - r) * x.stride + x.cols) {
        const auto v = Vec<T>::loadu(row + c);
        outside = outside | ((less(v, low) | less(high, v)) & inside<T>(c, x.cols));
      } else {
        found = found || std::any_of(row + c, row + x.cols, is_outside);
      }
    }
  }
  if (!found && !any(outside)) return -1;
  Index r = 0;
  while (std::none_of(x.row(r), x.row(r) + x.cols, is_outside)) ++r;
  return r;
}

// Calls f(c, v) for each column c of up to kLanes rows: lane r of v is the number of row r. The lanes of missing rows
// are copies of the last row.
template <class T, class F>
[[gnu::always_inline]] inline void by_columns(ConstMatrix<T> x, F f) noexcept {
  constexpr Index kLanes = Vec<T>::kLanes;
  for (Index first = 0; first < x.cols; first += kLanes) {
    Vec<T> square[kLanes];
#pragma GCC unroll 16
    for (Index r = 0; r < kLanes; ++r) square[r] = Vec<T>::load(x.row(std::min(r, x.rows - 1)) + first);
    transpose_square(square);
    const Index count = std::min(kLanes, x.cols - first);
#pragma GCC unroll 16
    for (Index j = 0; j < kLanes; ++j)
      if (j < count) f(first + j, square[j]);
  }
}

// Calls f(r, c) for each row of a padded matrix in turn, c the column of its first largest number. The rows of a vector
// are compared side by side: in a single short row, each comparison would wait for the one before.
template <class T, class F>
void each_first_largest(ConstMatrix<T> x, F f) noexcept {
  using Bit = typename Vec<T>::Bit;
  using Bits = typename Vec<T>::Bits;
  constexpr Index kLanes = Vec<T>::kLanes;
  for (Index first = 0; first < x.rows; first += kLanes) {
    const Index count = std::min(kLanes, x.rows - first);
    auto largest = Vec<T>::zero();
    Bits column{};
    by_columns(x.middle_rows(first, count), [&](Index c, Vec<T> v) {
      const auto larger = less(largest, v);
      largest = c == 0 ? v : select(larger, v, largest);
      column = c == 0 ? column : larger.lanes ? Bits{} + static_cast<Bit>(c) : column;
    });
    Bit columns[kLanes];
    std::memcpy(columns, &column, sizeof(columns));
    for (Index r = 0; r < count; ++r) f(first + r, static_cast<Index>(columns[r]));
  }
}

// sum = x + y; sum may be one of them. Rows are padded.
template <class T>
void add(ConstMatrix<T> x, ConstMatrix<T> y, Matrix<T> sum) noexcept {
  for (Index r = 0; r < sum.rows; ++r)
    for (Index c = 0; c < sum.cols; c += kPad<T>)
      for (Index v = c; v < c + kPad<T>; v += Vec<T>::kLanes)
        (Vec<T>::load(x.row(r) + v) + Vec<T>::load(y.row(r) + v)).store(sum.row(r) + v);
}

// The index of the first largest number.
template <class T>
Index first_largest(const T* x, Index n) noexcept {
  Index best = 0;
  for (Index i = 1; i < n; ++i)
    if (x[i] > x[best]) best = i;
  return best;
}

}  // namespace fastnn::kernels
