// Rescale: x * scale + shift, where each is one number or one number per column; dx = dy * scale.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <array>
#include <utility>

#include "core/buffer.h"
#include "inputs/input.h"

namespace fastnn::inputs {

template <class T>
class Rescale final : public Input<T> {
 public:
  static constexpr std::array<const char*, 2> kSettings{"scale", "shift"};
  static constexpr bool kScales = true, kFlattens = false, kNumbered = false;
  Rescale(Index columns, const Settings& settings) : columns_(columns) { change(settings); }

  void change(const Settings& settings) override;
  bool keeps_zeros(const Settings& settings) const override;
  kernels::Scaling<T> scaling() const override {
    return {.scale = scale_.size() ? scale_.data() : nullptr,
            .shift = shift_.size() ? shift_.data() : nullptr,
            .exact_scale = exact_scale_.data(),
            .exact_shift = exact_shift_.data()};
  }
  void backward(T* dx, Index columns) const noexcept override {
    for (Index c = 0; scale_.size() > 0 && c < columns; ++c) dx[c] *= scale_[c];
  }

 private:
  Index columns_;
  Buffer<T> scale_, shift_;                   // empty where nothing was given, or where all shifts are zero
  Buffer<double> exact_scale_, exact_shift_;  // as given, for values that T does not represent exactly
};

}  // namespace fastnn::inputs
