// Standardize: (x - mean) / scale by column, where mean and scale have been measured on the rows of a training
// (kernels/column_statistics.h); dx = dy / scale. The mean is subtracted first: where it is large beside the scale,
// x / scale - mean / scale would lose the digits that distinguish rows.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <array>

#include "core/buffer.h"
#include "inputs/input.h"

namespace fastnn::inputs {

template <class T>
class Standardize final : public Input<T> {
 public:
  static constexpr std::array<const char*, 2> kSettings{"mean", "scale"};
  static constexpr bool kScales = true, kFlattens = false, kNumbered = false;
  Standardize(Index columns, const Settings& settings) : columns_(columns) { change(settings); }

  void change(const Settings& settings) override;
  bool keeps_zeros(const Settings& settings) const override { return settings.empty(); }
  bool ready() const override { return mean_.size() > 0; }
  kernels::Scaling<T> scaling() const override {
    if (!ready()) return {};
    return {.scale = inverse_.data(),
            .mean = mean_.data(),
            .exact_scale = exact_inverse_.data(),
            .exact_shift = zeros_.data(),
            .exact_mean = exact_mean_.data()};
  }
  void backward(T* dx, Index columns) const noexcept override {
    for (Index c = 0; ready() && c < columns; ++c) dx[c] *= inverse_[c];
  }

 private:
  Index columns_;
  Buffer<T> mean_, inverse_;  // empty before the statistics are known
  Buffer<double> exact_mean_, exact_inverse_, zeros_;
};

}  // namespace fastnn::inputs
