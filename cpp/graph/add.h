// Add: y = x + x2, the last node of a residual container; dx and dx2 are dy.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "core/simd.h"
#include "layers/layer.h"

namespace fastnn::graph {

// Adds the block (rows, cols) of `from` to that of `onto`, with its padding columns.
template <class T>
void add_onto(ConstMatrix<T> from, Matrix<T> onto, layers::Range rows, layers::Range cols) noexcept {
  for (Index r = rows.first; r < rows.first + rows.count; ++r)
    for (Index c = cols.first; c < cols.first + padded<T>(cols.count); c += Vec<T>::kLanes)
      (Vec<T>::load(onto.row(r) + c) + Vec<T>::load(from.row(r) + c)).store(onto.row(r) + c);
}

template <class T>
class Add final : public layers::Layer<T> {
 public:
  explicit Add(Index columns) : layers::Layer<T>(columns, columns, {.elementwise = true, .inputs = 2}) {}

  double flops_per_row() const override { return static_cast<double>(this->out()); }

  void forward(const layers::Slot<T>& s, layers::Range rows, layers::Range cols,
               const layers::Batch&) const noexcept override {
    for (Index r = rows.first; r < rows.first + rows.count; ++r)
      for (Index c = cols.first; c < cols.first + padded<T>(cols.count); c += Vec<T>::kLanes)
        (Vec<T>::load(s.x.row(r) + c) + Vec<T>::load(s.x2.row(r) + c)).store(s.y.row(r) + c);
  }
  // dx is dy, in the same memory; dx2 is a copy, where it is needed and has memory of its own.
  void backward(const layers::Slot<T>& s, layers::Range rows, layers::Range cols,
                const layers::Batch&) const noexcept override {
    if (!s.dx2 || s.dx2.data == s.dy.data) return;
    for (Index r = rows.first; r < rows.first + rows.count; ++r)
      for (Index c = cols.first; c < cols.first + padded<T>(cols.count); c += Vec<T>::kLanes)
        Vec<T>::load(s.dy.row(r) + c).store(s.dx2.row(r) + c);
  }
};

}  // namespace fastnn::graph
