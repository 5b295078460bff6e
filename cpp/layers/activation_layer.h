// A registered activation as a layer. An elementwise one works in place if its derivative is computed from the output.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "activations/registry.h"
#include "layers/layer.h"

namespace fastnn::layers {

template <class T>
class ActivationLayer final : public Layer<T> {
 public:
  ActivationLayer(Index width, const activations::Row& row, const Values& values)
      : Layer<T>(width, width,
                 {.elementwise = !row.whole_rows,
                  .needs_input = row.needs == activations::Needs::kInput,
                  .needs_output = row.needs == activations::Needs::kOutput}),
        loops_(row.loops<T>()),
        values_(values) {}

  double flops_per_row() const override { return static_cast<double>(this->out()); }

  void forward(const Slot<T>& s, Range rows, Range cols, const Batch&) const noexcept override {
    loops_.forward(values_, s.x.block(rows.first, cols.first, rows.count, cols.count),
                   s.y.block(rows.first, cols.first, rows.count, cols.count));
  }
  void backward(const Slot<T>& s, Range rows, Range cols, const Batch&) const noexcept override {
    const ConstMatrix<T> saved = this->traits().needs_output ? ConstMatrix<T>(s.y) : s.x;
    loops_.backward(values_, saved.block(rows.first, cols.first, rows.count, cols.count),
                    s.dy.block(rows.first, cols.first, rows.count, cols.count));
  }

 private:
  activations::Loops<T> loops_;
  Values values_;
};

}  // namespace fastnn::layers
