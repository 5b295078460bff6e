// Refusals of invalid classes, targets and weights. Each function throws Refused for the first such cell of rows ids[0]
// to ids[count - 1], and returns if there is none.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <cmath>
#include <string>
#include <string_view>
#include <utility>

#include "core/refusal.h"
#include "kernels/gather.h"
#include "losses/loss.h"

namespace fastnn::run {

// bad(value, column) -> bool
template <class Bad>
void refuse_cells(const kernels::Source& source, kernels::RowIds ids, Index count, Refusal refusal, Bad bad) {
  const auto look = [&](Index row, Index column, double value) {
    if (!bad(value, column)) return;
    refusal.row = row, refusal.column = column, refusal.value = value;
    throw Refused(std::move(refusal));
  };
  bool zeros_too = true;  // a scaling may make Inf of the zeros that a sparse matrix does not store
  if (source.cells) {
    zeros_too = false;
    for (Index c = 0; c < source.cols; ++c) zeros_too = zeros_too || bad(0.0, c);
  }
  for (Index r = 0; r < count; ++r)
    if (zeros_too)
      for (Index c = 0; c < source.cols; ++c) look(ids[r], c, kernels::element(source, ids[r], c));
    else
      for (Index k = source.cells->start(ids[r]); k < source.cells->start(ids[r] + 1); ++k)
        look(ids[r], source.cells->column(k), kernels::stored(source, k));
}

inline void refuse_classes(const std::string& where, const char* argument, const kernels::Source& labels,
                           kernels::RowIds ids, Index count, Index classes) {
  Refusal refusal{.where = where, .reason = reason::kClass, .argument = argument};
  refusal.highest = static_cast<double>(classes - 1);
  refuse_cells(labels, ids, count, std::move(refusal), [classes](double value, Index) {
    return !(value >= 0 && value < static_cast<double>(classes) && value == std::floor(value));
  });
}

// as_float: weights are factors that have to be finite as float32.
inline void refuse_weights(const std::string& where, const char* argument, const kernels::Source& weights,
                           kernels::RowIds ids, Index count, const char* dtype = "", bool as_float = false) {
  refuse_cells(weights, ids, count, {.where = where, .reason = reason::kWeight, .argument = argument, .dtype = dtype},
               [as_float](double value, Index) {
                 return !(value >= 0) ||
                        !std::isfinite(as_float ? static_cast<double>(static_cast<float>(value)) : value);
               });
}

// The refusal of a number outside the interval that the loss's registry row states for targets or for outputs; row,
// column and value are not yet set.
inline Refusal refusal_of_range(const std::string& where, const char* why, const std::string& argument,
                                const losses::Row& row, const Values& values) {
  const bool is_output = std::string_view(why) == reason::kOutput;
  const Interval interval = is_output ? row.outputs(values) : row.targets(values);
  return {.where = where,
          .reason = why,
          .argument = argument,
          .expected = {.by = row.class_name},
          .lowest = interval.lowest,
          .highest = interval.highest,
          .open_below = interval.open_below,
          .open_above = interval.open_above,
          .remedy = is_output ? row.outputs_remedy : ""};
}

}  // namespace fastnn::run
