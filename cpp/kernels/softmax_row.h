// Softmax of one row, stable for all logits: the maximum of the row is subtracted before exp. Sums are taken in double
// over a fixed number of lanes (kernels/reduce.h). Rows are padded; the values in the padding columns are not used.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <limits>
#include <numeric>

#include "core/simd_math.h"
#include "core/types.h"
#include "kernels/reduce.h"
#include "kernels/short_rows.h"

namespace fastnn::kernels {

template <class T>
T row_max(const T* z, Index k) noexcept {
  const auto lowest = Vec<T>::set(std::numeric_limits<T>::lowest());
  auto largest = lowest;
  for (Index c = 0; c < k; c += Vec<T>::kLanes)
    largest = max(largest, select(inside<T>(c, k), Vec<T>::load(z + c), lowest));
  alignas(kAlign) T lanes[Vec<T>::kLanes];
  largest.store(lanes);
  T result = lanes[0];
  for (const T lane : lanes) result = lane > result ? lane : result;
  return result;
}

// e = exp(z - offset) for the k columns of the row, and zero in the padding columns. Returns the sum. e may be z, or
// nullptr if only the sum is needed. Inlined, because the caller's rows are often short.
template <class T>
[[gnu::always_inline]] inline double exponentials(const T* z, Index k, T offset, T* e) noexcept {
  const auto lowest = Vec<T>::set(std::numeric_limits<T>::lowest()), shift = Vec<T>::set(offset);
  LaneSum sum;
  alignas(kAlign) T local[kPad<T>];
  for (Index c = 0; c < k; c += kPad<T>) {
    T* line = e ? e + c : local;
    for (Index j = 0; j < kPad<T>; j += Vec<T>::kLanes)
      exp(select(inside<T>(c + j, k), Vec<T>::load(z + c + j) - shift, lowest)).store(line + j);
    sum.add(line, kPad<T>);
  }
  return sum.total();
}

// Short rows are summed in column order, as ShortRows does it, so that a row has the same bits alone and among others.
// a may be z.
template <class T>
void softmax_row(const T* z, Index k, T* a) noexcept {
  double sum = exponentials(z, k, row_max(z, k), a);
  if (k <= kShortRow) sum = std::accumulate(a, a + k, 0.0);
  const auto share = Vec<T>::set(static_cast<T>(1 / sum));
  for (Index c = 0; c < padded<T>(k); c += Vec<T>::kLanes) (Vec<T>::load(a + c) * share).store(a + c);
}

template <class T>
void log_softmax_row(const T* z, Index k, T* a) noexcept {
  const T largest = row_max(z, k);
  const auto log_sum = Vec<T>::set(static_cast<T>(log(exponentials<T>(z, k, largest, nullptr))));
  const auto shift = Vec<T>::set(largest);
  for (Index c = 0; c < padded<T>(k); c += Vec<T>::kLanes)
    select(inside<T>(c, k), (Vec<T>::load(z + c) - shift) - log_sum, Vec<T>::zero()).store(a + c);
}

// The sum over the k columns of a row of f(c), a vector of columns c on; padding columns do not count.
template <class T, class F>
double sum_of(Index k, F f) noexcept {
  LaneSum sum;
  alignas(kAlign) T line[kPad<T>];
  for (Index c = 0; c < k; c += kPad<T>) {
    for (Index j = 0; j < kPad<T>; j += Vec<T>::kLanes)
      select(inside<T>(c + j, k), f(c + j), Vec<T>::zero()).store(line + j);
    sum.add(line, kPad<T>);
  }
  return sum.total();
}

template <class T>
void softmax_row_backward(const T* a, Index k, T* grad) noexcept {
  const auto at = [](const T* row, Index c) { return Vec<T>::load(row + c); };
  const auto mean = Vec<T>::set(static_cast<T>(sum_of<T>(k, [&](Index c) { return at(a, c) * at(grad, c); })));
  for (Index c = 0; c < padded<T>(k); c += Vec<T>::kLanes)
    select(inside<T>(c, k), at(a, c) * (at(grad, c) - mean), Vec<T>::zero()).store(grad + c);
}

template <class T>
void log_softmax_row_backward(const T* a, Index k, T* grad) noexcept {
  const auto at = [](const T* row, Index c) { return Vec<T>::load(row + c); };
  const auto sum = Vec<T>::set(static_cast<T>(sum_of<T>(k, [&](Index c) { return at(grad, c); })));
  for (Index c = 0; c < padded<T>(k); c += Vec<T>::kLanes)
    select(inside<T>(c, k), at(grad, c) - exp(at(a, c)) * sum, Vec<T>::zero()).store(grad + c);
}

}  // namespace fastnn::kernels
