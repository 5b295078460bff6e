// Gathers the targets of a loss, and checks targets and outputs against the ranges in its row and the number of
// outputs.
// SPDX-License-Identifier: BSD-3-Clause
#include "core/refusal.h"
#include "kernels/gather.h"
#include "kernels/reduce.h"
#include "losses/loss.h"

namespace fastnn::losses {

namespace {

// From column `first` on.
template <class T>
Outside first_outside(const Interval& interval, ConstMatrix<T> x, Index first) noexcept {
  if (interval.everything()) return {};
  const ConstMatrix<T> bounded = x.block(0, first, x.rows, x.cols - first);
  const Index r = kernels::first_outside<T>(bounded, interval.first<T>(), interval.last<T>());
  if (r < 0) return {};
  return {r, first + interval.first_excluded(bounded.row(r), bounded.cols)};
}

}  // namespace

template <class T>
Outside outside_targets(const Row& row, const Values& values, ConstMatrix<T> targets) noexcept {
  return first_outside<T>(row.targets(values), targets, 0);
}

template <class T>
Outside outside_outputs(const Row& row, const Values& values, ConstMatrix<T> out) noexcept {
  const Interval allowed = row.outputs(values);
  if (allowed.everything()) return {};
  return first_outside<T>(allowed, out, row.first_bounded(values, out.cols));
}

void check_outputs(const std::string& where, const Row& row, const Values& values, Index k) {
  const Index each = row.outputs_per_target(values);
  const auto refuse = [&](const char* why, const char* argument, Index came) {
    throw Refused({.where = where,
                   .reason = why,
                   .argument = argument,
                   .expected = {.cols = each, .by = row.class_name},
                   .shape = {came},
                   .value = static_cast<double>(k)});
  };
  if (k % each != 0) refuse(reason::kOutputs, "", k);
  for (const Field& field : row.params) {
    const auto size = field.per_output ? static_cast<Index>(field.get_list(values).size) : 0;
    if (size != 0 && size != k) refuse(reason::kPerOutput, field.name, size);
  }
}

template <class T>
Read<T> read_targets(const Row& row, const Values& values, const kernels::Source& y, kernels::RowIds ids, Index k,
                     Matrix<T> dense, std::int32_t* classes) noexcept {
  if (row.takes_classes(y.cols)) return {{{}, classes}, kernels::gather_classes(y, ids, dense.rows, k, classes)};
  dense.cols = row.target_cols(values, k);
  const bool finite = kernels::gather<T>(y, ids, {}, dense);
  return {{dense, nullptr}, finite && !outside_targets<T>(row, values, dense)};
}

template Outside outside_targets(const Row&, const Values&, ConstMatrix<float>) noexcept;
template Outside outside_targets(const Row&, const Values&, ConstMatrix<double>) noexcept;
template Outside outside_outputs(const Row&, const Values&, ConstMatrix<float>) noexcept;
template Outside outside_outputs(const Row&, const Values&, ConstMatrix<double>) noexcept;
template Read<float> read_targets(const Row&, const Values&, const kernels::Source&, kernels::RowIds, Index,
                                  Matrix<float>, std::int32_t*) noexcept;
template Read<double> read_targets(const Row&, const Values&, const kernels::Source&, kernels::RowIds, Index,
                                   Matrix<double>, std::int32_t*) noexcept;

}  // namespace fastnn::losses
