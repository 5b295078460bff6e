// Dropout: y = x * mask with elements of the mask 0 or 1 / (1 - p); outside of training y = x.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <array>
#include <cstring>

#include "core/simd.h"
#include "layers/dropout_mask.h"
#include "layers/layer.h"

namespace fastnn::layers {

struct DropoutParams {
  double p = 0.5;
};

template <class T>
class Dropout final : public Layer<T> {
 public:
  using Params = DropoutParams;
  static constexpr std::array kFields{
      field<&Params::p>("p", within(0, 1), "share of the values set to zero", tries(0.35))};
  Dropout(Index width, const Params& params) : Layer<T>(width, width, {.elementwise = true}), p_(params.p) {}

  bool change(const Values& values) override {
    p_ = values.as<Params>().p;
    return true;
  }
  Index scratch_cols() const override { return this->out(); }  // also for p = 0, because p may change between steps

  void forward(const Slot<T>& s, Range rows, Range cols, const Batch& batch) const noexcept override {
    for (Index r = rows.first; r < rows.first + rows.count; ++r) {
      if (batch.training) {
        dropout_mask_row<T, kBlocks>(p_, batch.seed, static_cast<std::uint64_t>(this->number()), batch.step, batch.draw,
                                     r, cols, s.scratch.row(r));
        multiply(s.x.row(r), s.scratch.row(r), s.y.row(r), cols);
      } else if (s.y.data != s.x.data) {
        std::memcpy(s.y.row(r) + cols.first, s.x.row(r) + cols.first,
                    sizeof(T) * static_cast<std::size_t>(padded<T>(cols.count)));
      }
    }
  }
  void backward(const Slot<T>& s, Range rows, Range cols, const Batch& batch) const noexcept override {
    if (!batch.training) return;
    for (Index r = rows.first; r < rows.first + rows.count; ++r)
      multiply(s.dy.row(r), s.scratch.row(r), s.dy.row(r), cols);
  }

 private:
  static constexpr int kBlocks = Vec<double>::kLanes == 8 ? 16 : 1;  // with shorter vectors single blocks are faster

  static void multiply(const T* x, const T* mask, T* y, Range cols) noexcept {
    for (Index c = cols.first; c < cols.first + padded<T>(cols.count); c += Vec<T>::kLanes)
      (Vec<T>::load(x + c) * Vec<T>::load(mask + c)).store(y + c);
  }
  double p_;
};

}  // namespace fastnn::layers
