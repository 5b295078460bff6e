// Orthogonal: rows or columns, whichever are fewer, are orthogonal to each other and have the length `gain` (Saxe,
// McClelland, Ganguli 2014). Such a matrix is Q of the QR decomposition of normal numbers, where the diagonal of R is
// positive, so that all orthogonal matrices are equally likely (Mezzadri 2007).
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <array>
#include <cmath>
#include <vector>

#include "core/normal.h"
#include "initializers/initializer.h"

namespace fastnn::initializers {

struct OrthogonalParams {
  double gain = 1;
};

namespace detail {

// Sums of eight terms each, added in a fixed order, so that the bits do not depend on the vectors' width.
inline double dot(const double* a, const double* b, Index n) noexcept {
  constexpr Index kSums = 8;
  double sum[kSums] = {};
  Index i = 0;
  for (; i + kSums <= n; i += kSums)
    for (Index k = 0; k < kSums; ++k) sum[k] += a[i + k] * b[i + k];
  for (Index k = 0; i + k < n; ++k) sum[k] += a[i + k] * b[i + k];
  return ((sum[0] + sum[4]) + (sum[2] + sum[6])) + ((sum[1] + sum[5]) + (sum[3] + sum[7]));
}
// x -= (2 v.x / v.v) v, the reflection of x at the hyperplane orthogonal to v.
inline void reflect(const double* v, double squared, double* x, Index n) noexcept {
  const double factor = 2 * dot(v, x, n) / squared;
  for (Index i = 0; i < n; ++i) x[i] -= factor * v[i];
}

// Replaces `columns` vectors of `length` >= columns numbers, one after the other, by Q of their QR decomposition, with
// Householder's reflections.
inline void orthonormalize(std::vector<double>& vectors, Index length, Index columns) {
  const auto at = [&](Index k) { return vectors.data() + k * length; };
  std::vector<double> squared(static_cast<std::size_t>(columns)), sign(static_cast<std::size_t>(columns), 1.0);
  for (Index k = 0; k < columns; ++k) {
    double* v = at(k) + k;  // from here on, v takes the place of the column's part on and below the diagonal
    const double size = std::sqrt(dot(v, v, length - k));
    const auto place = static_cast<std::size_t>(k);
    sign[place] = v[0] < 0 ? 1.0 : -1.0;  // of R's diagonal, opposite to v[0], so that nothing cancels
    v[0] -= sign[place] * size;
    squared[place] = dot(v, v, length - k);
    if (squared[place] == 0) continue;
    for (Index j = k + 1; j < columns; ++j) reflect(v, squared[place], at(j) + k, length - k);
  }
  // Q is the product of the reflections; the last ones change only the last rows of the identity matrix.
  for (Index k = columns - 1; k >= 0; --k) {
    const auto place = static_cast<std::size_t>(k);
    const std::vector<double> v(at(k) + k, at(k) + length);
    std::fill_n(at(k), length, 0.0);
    at(k)[k] = 1;
    for (Index j = k; j < columns && squared[place] > 0; ++j) reflect(v.data(), squared[place], at(j) + k, length - k);
  }
  for (Index k = 0; k < columns; ++k)
    for (Index i = 0; i < length; ++i) at(k)[i] *= sign[static_cast<std::size_t>(k)];
}

}  // namespace detail

struct Orthogonal {
  using Params = OrthogonalParams;
  static constexpr bool kForVectors = false;
  static constexpr std::array kFields{
      field<&Params::gain>("gain", within(0, 1e9), "length of the rows or columns", tries(1.5))};
  explicit Orthogonal(const Params& p) : gain(p.gain) {}
  template <class T>
  void fill(Matrix<T> to, Fans, PhiloxStream& words) const {
    const Index length = std::max(to.rows, to.cols), count = std::min(to.rows, to.cols);
    std::vector<double> vectors(static_cast<std::size_t>(length * count));
    for (double& each : vectors) each = normal_of(words.next());
    detail::orthonormalize(vectors, length, count);
    for (Index r = 0; r < to.rows; ++r)
      for (Index c = 0; c < to.cols; ++c) {
        const Index vector = to.rows >= to.cols ? c : r, place = to.rows >= to.cols ? r : c;
        to.row(r)[c] = static_cast<T>(gain * vectors[static_cast<std::size_t>(vector * length + place)]);
      }
  }
  double gain;
};

}  // namespace fastnn::initializers
