// Losses of rows in a caller's memory, neither padded nor aligned. A few rows at a time are copied to padded rows on
// the stack, on which the loops of the registry run.
// SPDX-License-Identifier: BSD-3-Clause
#include <algorithm>

#include "losses/loss.h"

namespace fastnn::losses {

namespace {

template <class T>
void copy_rows(ConstMatrix<T> from, Matrix<T> to) noexcept {
  for (Index r = 0; r < from.rows; ++r) {
    std::copy_n(from.row(r), from.cols, to.row(r));
    std::fill(to.row(r) + from.cols, to.row(r) + padded<T>(from.cols), T(0));
  }
}

}  // namespace

template <class T>
bool add_plain_rows(const Row& row, const Values& values, const PlainRows<T>& rows, T scale, double& sum) noexcept {
  constexpr Index kSize = kLongRow<T>;
  alignas(kAlign) T local[3][kSize];
  const Index k = rows.out.cols, width = padded<T>(k);
  const Traits traits = row.traits(values, k);
  const Index at_once = std::max<Index>(1, width > 0 ? kSize / width : rows.out.rows);
  for (Index first = 0; first < rows.out.rows; first += at_once) {
    const Index n = std::min(at_once, rows.out.rows - first);
    const auto part = [&](int which) {
      const bool is_long = width > kSize;
      return Matrix<T>{is_long ? rows.scratch[which].row(first) : local[which], n, k, width};
    };
    const Matrix<T> out = part(0), dout = part(2);
    Matrix<T> target = part(1);
    Targets<T> targets;
    copy_rows<T>(rows.out.middle_rows(first, n), out);
    if (rows.classes != nullptr) {
      targets.classes = rows.classes + first;
    } else {
      target.cols = rows.target.cols;
      copy_rows<T>(rows.target.middle_rows(first, n), target);
      targets.dense = target;
      if (outside_targets<T>(traits, targets.dense)) return false;
    }
    if (outside_outputs<T>(traits, out)) return false;
    sum += row.loops<T>().value(values, out, targets, rows.weights ? rows.weights + first : nullptr, scale, dout);
    for (Index r = 0; r < n; ++r) std::copy_n(dout.row(r), k, rows.dout.row(first + r));
  }
  return true;
}

template bool add_plain_rows(const Row&, const Values&, const PlainRows<float>&, float, double&) noexcept;
template bool add_plain_rows(const Row&, const Values&, const PlainRows<double>&, double, double&) noexcept;

}  // namespace fastnn::losses
