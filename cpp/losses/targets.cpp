// Gathers the targets of a loss and checks them, and the outputs, against the ranges in its registry row.
// SPDX-License-Identifier: BSD-3-Clause
#include "kernels/gather.h"
#include "kernels/reduce.h"
#include "losses/loss.h"

namespace fastnn::losses {

template <class T>
Index first_outside(const Interval& interval, ConstMatrix<T> x) noexcept {
  if (interval.everything()) return -1;
  return kernels::first_outside<T>(x, interval.first<T>(), interval.last<T>());
}

template <class T>
Read<T> read_targets(const Row& row, const kernels::Source& y, kernels::RowIds ids, Index k, Matrix<T> dense,
                     std::int32_t* classes) noexcept {
  if (row.target == TargetKind::kClass) return {{{}, classes}, kernels::gather_classes(y, ids, dense.rows, k, classes)};
  const bool finite = kernels::gather<T>(y, ids, {}, dense);
  return {{dense, nullptr}, finite && first_outside<T>(row.targets, dense) < 0};
}

template Index first_outside(const Interval&, ConstMatrix<float>) noexcept;
template Index first_outside(const Interval&, ConstMatrix<double>) noexcept;
template Read<float> read_targets(const Row&, const kernels::Source&, kernels::RowIds, Index, Matrix<float>,
                                  std::int32_t*) noexcept;
template Read<double> read_targets(const Row&, const kernels::Source&, kernels::RowIds, Index, Matrix<double>,
                                   std::int32_t*) noexcept;

}  // namespace fastnn::losses
