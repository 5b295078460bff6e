// Gathers the targets of a loss, and checks targets and outputs against the ranges in its row and the number of
// outputs.
// SPDX-License-Identifier: BSD-3-Clause
#include <algorithm>

#include "core/refusal.h"
#include "kernels/gather.h"
#include "kernels/reduce.h"
#include "losses/loss.h"

namespace fastnn::losses {

Traits Row::traits(const Values& values, Index k) const {
  Traits its{.targets = targets(values), .outputs = outputs(values)};
  its.bounds_targets = !its.targets.everything(), its.bounds_outputs = !its.outputs.everything();
  its.first_bounded = first_bounded(values, k);
  its.target_cols = target_cols(values, k);
  its.class_weights = class_weights(values);
  const Reduction how = reduction(values);
  its.is_sum = how == Reduction::kSum;
  if (how == Reduction::kMean && mean != Mean::kRows)
    its.mean_over = mean == Mean::kOutputs ? k : std::max<Index>(1, its.target_cols);
  return its;
}

namespace {

// From column `first` on.
template <class T>
Outside first_outside(const Interval& interval, ConstMatrix<T> x, Index first) noexcept {
  const ConstMatrix<T> bounded = x.block(0, first, x.rows, x.cols - first);
  const Index r = kernels::first_outside<T>(bounded, interval.first<T>(), interval.last<T>());
  if (r < 0) return {};
  return {r, first + interval.first_excluded(bounded.row(r), bounded.cols)};
}

}  // namespace

template <class T>
Outside outside_targets(const Traits& traits, ConstMatrix<T> targets) noexcept {
  return traits.bounds_targets ? first_outside<T>(traits.targets, targets, 0) : Outside{};
}

template <class T>
Outside outside_outputs(const Traits& traits, ConstMatrix<T> out) noexcept {
  return traits.bounds_outputs ? first_outside<T>(traits.outputs, out, traits.first_bounded) : Outside{};
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
Read<T> read_targets(const Row& row, const Traits& traits, const kernels::Source& y, kernels::RowIds ids, Index k,
                     Matrix<T> dense, std::int32_t* classes) noexcept {
  if (row.takes_classes(y.cols)) return {{{}, classes}, kernels::gather_classes(y, ids, dense.rows, k, classes)};
  dense.cols = traits.target_cols;
  const bool finite = kernels::gather<T>(y, ids, {}, dense);
  return {{dense, nullptr}, finite && !outside_targets<T>(traits, dense)};
}

template Outside outside_targets(const Traits&, ConstMatrix<float>) noexcept;
template Outside outside_targets(const Traits&, ConstMatrix<double>) noexcept;
template Outside outside_outputs(const Traits&, ConstMatrix<float>) noexcept;
template Outside outside_outputs(const Traits&, ConstMatrix<double>) noexcept;
template Read<float> read_targets(const Row&, const Traits&, const kernels::Source&, kernels::RowIds, Index,
                                  Matrix<float>, std::int32_t*) noexcept;
template Read<double> read_targets(const Row&, const Traits&, const kernels::Source&, kernels::RowIds, Index,
                                   Matrix<double>, std::int32_t*) noexcept;

}  // namespace fastnn::losses
